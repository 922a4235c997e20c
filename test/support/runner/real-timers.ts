// Restores real timers. The files of a worker share their globals, so fake timers of one file would stop the clock of the
// next.
import { afterAll, vi } from 'vitest';

afterAll(() => {
  vi.useRealTimers();
});
