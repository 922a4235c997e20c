// Deliveries that the store could not record: known here meanwhile, recorded when it is back, never more than ten
// thousand.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventMemory } from '../../../src/once/memory.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function unsaved() {
  const saved = new Map<string, number>();
  const state = { works: true };
  const save = async (key: string, window: number) => {
    if (!state.works) throw new Error('away');
    saved.set(key, window);
  };
  return { saved, state, events: new EventMemory(10_000), save };
}

test('the rest of the window is recorded once the store is back', async () => {
  const { saved, events, save } = unsaved();
  events.add('e', 100);
  events.add('over', 30);
  vi.advanceTimersByTime(40);
  expect([events.has('e'), events.has('over'), events.has('other')]).toEqual([true, false, false]);
  events.moveTo(save);
  await vi.advanceTimersByTimeAsync(0);
  expect([...saved]).toEqual([['e', 60]]);
  expect(events.has('e')).toBe(false);
  saved.clear();
  events.moveTo(save);
  expect(saved.size).toBe(0);
});

test('a delivery that fails again waits for the next time', async () => {
  const { saved, state, events, save } = unsaved();
  events.add('e', 100);
  state.works = false;
  events.moveTo(save);
  await vi.advanceTimersByTimeAsync(0);
  expect(events.has('e')).toBe(true);
  state.works = true;
  events.moveTo(save);
  await vi.advanceTimersByTimeAsync(0);
  expect([...saved.keys()]).toEqual(['e']);
});

test('there are at most ten thousand, and the oldest is evicted first', () => {
  const { events } = unsaved();
  for (let nth = 0; nth <= 10_000; nth++) events.add(`${nth}`, 1000);
  expect([events.has('0'), events.has('1'), events.has('10000')]).toEqual([false, true, true]);
});
