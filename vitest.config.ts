// `npm test` runs `unit` and `fast`, in a good minute on two cores; `e2e` has the tests that need longer or real components.
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';
import { THREAD_SOURCE, threadAsText } from './scripts/bundle.ts';
import { MISSING } from './test/support/machine/tools.ts';

/** More than ten times what any test needs, so that a busy machine fails none. */
const PATIENCE = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 30_000 } } };

/**
 * On a shared machine a flood may starve a test's honest clients, and limits of the proxy itself (a second for a store,
 * a tenth of a second for a handshake) run out. vitest names each test that needed a retry. CI sets it, also where it
 * keeps the variable CI from the tests.
 */
const RETRY = Number(process.env.TEST_RETRY ?? 0);

/**
 * Where the program is the build, the store's thread is that of the build, too: hundreds of tests start one, and from its
 * sources a start takes three times as long.
 */
const builtThreads: Plugin = {
  name: 'built-threads',
  load: (id) => (process.env.PROGRAM !== undefined && THREAD_SOURCE.test(id) ? threadAsText(id) : undefined),
  // Its own text never changes, but that of the thread does: a cache would keep an old one.
  configureVitest: ({ defineCacheKeyGenerator }) =>
    defineCacheKeyGenerator(({ id }) => (THREAD_SOURCE.test(id) ? false : undefined)),
};

export default defineConfig({
  plugins: [builtThreads],
  test: {
    // More workers than cores: most tests wait for a socket or a process.
    maxWorkers: 8,
    reporters: [
      'default',
      ...['missing', 'passed', 'second-try'].map((name) => `./test/support/runner/${name}-reporter.ts`),
    ],
    onConsoleLog: (text) => !text.startsWith(MISSING),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          setupFiles: './test/support/runner/real-timers.ts',
          ...PATIENCE,
          isolate: false,
          retry: RETRY,
        },
      },
      {
        test: {
          name: 'fast',
          include: ['test/{integration,conformance,fuzz,regressions}/**/*.test.ts'],
          ...PATIENCE,
          // Hundreds of tests start the program. On the source half of a start is its compilation.
          env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('.cache/compiled', import.meta.url)) },
          isolate: false,
          retry: RETRY,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          retry: RETRY,
        },
      },
    ],
  },
});
