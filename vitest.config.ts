// Two projects: `fast` is `npm test` and must end in five minutes on two cores; `e2e` takes what needs longer.
import { defineConfig } from 'vitest/config';

// One more try in CI, where the machine is shared: vitest names each test that needed it. A laptop sees every flake.
const retry = process.env.CI === undefined ? 0 : 1;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/{unit,integration,conformance,fuzz,regressions}/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          retry,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          retry,
        },
      },
    ],
  },
});
