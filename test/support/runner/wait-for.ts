// The one way to wait for what no event tells: as long as the test may take, since a busy machine may need seconds for
// what takes a millisecond alone.
import { vi } from 'vitest';
import { patience } from './patience.ts';

/**
 * Calls `look` until it throws no more, and returns its value. The longer it waits, the more rarely it looks: a look costs both
 * processes. `timeout`: milliseconds, for tests that may take longer.
 */
export function waitFor<T>(look: () => T | Promise<T>, timeout = patience()): Promise<T> {
  let [tick, next] = [0, 0];
  let last: unknown;
  const lookSometimes = async () => {
    if (tick++ < next) throw last;
    next = tick + Math.min(tick / 8, SELDOM);
    try {
      return await look();
    } catch (error) {
      last = error;
      throw error;
    }
  };
  return vi.waitFor(lookSometimes, { timeout, interval: TICK_MS });
}

const TICK_MS = 20;
/** Ticks between two looks at most. */
const SELDOM = 12;
