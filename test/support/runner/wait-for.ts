// The one way to wait for what no event tells: as long as the test may take, since a busy machine may need seconds for
// what takes a millisecond alone.
import { vi } from 'vitest';
import { patience } from './patience.ts';

/** Calls `look` until it throws no more, and returns its value. `timeout`: milliseconds, for tests that may take longer. */
export function waitFor<T>(look: () => T | Promise<T>, timeout = patience()): Promise<T> {
  return vi.waitFor(look, { timeout, interval: 20 });
}
