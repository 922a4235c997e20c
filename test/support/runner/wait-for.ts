// The one way to wait for what no event tells: as long as the test may take, since a busy machine may need seconds for
// what takes a millisecond alone.
import { vi } from 'vitest';

/** Less than `testTimeout`, so that the last failure is told, and not only that time ran out. */
const PATIENCE_MS = 50_000;

/** Calls `look` until it throws no more, and returns its value. `patience`: milliseconds, for tests that may take longer. */
export function waitFor<T>(look: () => T | Promise<T>, patience = PATIENCE_MS): Promise<T> {
  return vi.waitFor(look, { timeout: patience, interval: 20 });
}
