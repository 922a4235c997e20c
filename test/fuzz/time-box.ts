// How long properties are tried: `FUZZ_SECONDS` for each file, 3 unless set. A failure prints its seed and path, which
// fc.assert accepts as `{ seed, path }`.
import type { Parameters } from 'fast-check';

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 3);

/** An equal share of the file's time for each of its `properties`. */
export function timeBox(properties: number) {
  return {
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: (SECONDS * 1_000) / properties,
    markInterruptAsFailure: false,
  } as const satisfies Parameters<unknown>;
}

/** For the test itself: the box, plus the time for a run in progress and for shrinking a counterexample. */
export const TEST_TIMEOUT = SECONDS * 1_000 + 60_000;
