// What V8 is told for a process that should stay small. Never before the proxy listens: after a changed flag node compiles
// its own modules anew, 30 ms of a start of 115.
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Bytes of the young generation, both halves, from which on it does not grow: 4 MiB each, less what they lack when V8 counts
 * them. Left alone it grows to 16 MiB each: 162 MiB resident under load and not 110, for the same CPU. With 2 it is 3 % more
 * CPU, with 1 it is 8 %, for 5 MiB.
 */
const YOUNG_ENOUGH = 5.5 * 1024 * 1024;

/**
 * undici's WebAssembly parser is optimised after some hundred responses and not after the second one: the compiler is 7 MiB
 * that a proxy with a webhook now and then never needs.
 */
const PARSER_TIERS_UP_LATE = '--wasm-tiering-budget=2147483647';

/**
 * The compiler between the first and the last: what it works with is 15 MiB under load. Without it the same functions reach
 * the last one, later: a request costs twice as much in the first four seconds of full load, and the same from then on.
 */
const NO_MIDDLE_COMPILER = '--no-maglev';

/** Whoever sets sizes by hand has them. */
const SET_BY_HAND = /semi[-_]space/;

export function keepSmall(): void {
  setFlagsFromString(PARSER_TIERS_UP_LATE);
  setFlagsFromString(NO_MIDDLE_COMPILER);
  if (SET_BY_HAND.test([...process.execArgv, process.env.NODE_OPTIONS].join(' '))) return;
  let factor = 0;
  const settle = () => {
    const wanted = youngBytes() < YOUNG_ENOUGH ? 2 : 1;
    if (wanted !== factor) setFlagsFromString(`--semi-space-growth-factor=${wanted}`);
    factor = wanted;
  };
  settle();
  // After each collection: there is no flag for the size that V8 would still read, and it shrinks by itself when it is idle.
  new PerformanceObserver(settle).observe({ entryTypes: ['gc'] });
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
}
