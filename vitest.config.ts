// `npm test` runs `fast`, in a minute on two cores; the projects `e2e-…` have the tests that need longer or real
// components. .ci/run runs some of these projects side by side.
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { THREAD_SOURCE, threadAsText } from './scripts/bundle.ts';
import { MISSING } from './test/support/machine/tools.ts';
import { LONGEST_MS, patience } from './test/support/runner/patience.ts';
import { Reports } from './test/support/runner/reporters.ts';

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

/** The end-to-end tests by what they share and judge; `at`: how many files at a time. */
export const E2E = {
  /** What these find does not depend on speed or memory, and some wait for half their time. */
  anytime: {
    at: 3,
    files: [
      'chart-*',
      ...['no-mixed-answers', 'npm-package', 'readme-commands', 'redelivery-kills', 'redelivery-poison', 'release'],
      ...['rules-in-promtool', 'shared-front', 'status-page-in-a-browser', 'systemd-unit', 'changes-under-load'],
      ...['redelivery-again', 'redelivery-disks', 'redelivery-sqlite-*'],
      'spellings-on-real-servers',
    ],
  },
  /** These share podman's images. */
  containers: { at: 1, files: ['docs-commands', 'executable', 'image-restrictions', 'pod-under-podman'] },
  /** It waits four minutes for Prometheus, and takes so little that it goes on beside those that judge speed. */
  patient: { at: 1, files: ['metrics-in-prometheus'] },
  alone: { at: 1, files: ['*'] },
};
const ELSEWHERE = [E2E.anytime, E2E.containers, E2E.patient].flatMap(({ files }) =>
  files.map((file) => `test/e2e/${file}.test.ts`),
);

/** They take long though they are small, mostly by waiting: begun last, they would leave a core idle at the end. */
const LONG = [
  ...['blocked-threads', 'deferred-command', 'drain-idle', 'limits', 'loops', 'misbehaving-upstreams', 'raw-requests'],
  ...['start-drain-stop', 'streaming', 'upstream-socket-reuse'],
  ...['changes-under-load', 'chart-claims', 'rules-in-promtool', 'shared-front', 'spellings-on-real-servers'],
];

/** Without the times of an earlier run, as in a fresh clone, vitest begins with the largest files. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.includes(basename(moduleId, '.test.ts'));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** Hundreds of tests start the program. On the source half of a start is its compilation. */
const COMPILED = { NODE_COMPILE_CACHE: fileURLToPath(new URL('.cache/compiled', import.meta.url)) };

/** What `npm test` runs. Fuzzers take their time, and need more for a run in progress and for shrinking a counterexample. */
const QUICK = {
  setupFiles: './test/support/runner/real-timers.ts',
  testTimeout: LONGEST_MS + 1000 * Number(process.env.FUZZ_SECONDS ?? 0),
  hookTimeout: LONGEST_MS,
  expect: { poll: { timeout: patience() } },
  env: COMPILED,
  isolate: false,
};

export default defineConfig({
  plugins: [builtThreads],
  test: {
    // More workers than cores: most tests wait for a socket or a process.
    maxWorkers: 7,
    sequence: { sequencer: LongFirst },
    teardownTimeout: LONGEST_MS,
    reporters: ['default', new Reports()],
    onConsoleLog: (text) => !text.startsWith(MISSING),
    projects: [
      // All of `npm test` shares workers: each loads the sources for itself.
      { test: { name: 'fast', include: ['test/{unit,integration,conformance,fuzz}/**/*.test.ts'], ...QUICK } },
      // Of these alone.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...QUICK } },
      ...Object.entries(E2E).map(([name, { files, at }], groupOrder) => ({
        test: {
          name: `e2e-${name}`,
          include: files.map((file) => `test/e2e/${file}.test.ts`),
          exclude: name === 'alone' ? ELSEWHERE : [],
          // Those that judge speed or memory compile what they start.
          env: name === 'anytime' ? COMPILED : {},
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: at,
          sequence: { groupOrder },
        },
      })),
    ],
  },
});
