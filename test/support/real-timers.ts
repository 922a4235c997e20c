// Files of a worker share their globals: fake timers of one file would stop the clock of the next.
import { afterAll, vi } from 'vitest';

afterAll(() => {
  vi.useRealTimers();
});
