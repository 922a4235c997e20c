// The memory of `once`: bounded, and every event is forgotten on time.
import { beforeEach, expect, test, vi } from 'vitest';
import { createMemoryStore } from '../../../src/once/store.ts';

beforeEach(() => void vi.useFakeTimers());

function memory(maxEntries: number) {
  const store = createMemoryStore(maxEntries);
  const deliver = (key: string, window = 100) => store.commit(key, window);
  const knows = async (key: string) => (await store.claim(key)) === 'delivered';
  return { store, deliver, knows };
}

test('an event is known from its delivery to the end of its window, and no longer', async () => {
  const { deliver, knows } = memory(10);
  expect(await knows('e')).toBe(false);
  await deliver('e');
  vi.advanceTimersByTime(99);
  expect(await knows('e')).toBe(true);
  vi.advanceTimersByTime(1);
  expect(await knows('e')).toBe(false);
});

test('there are never more than maxEntries, and the oldest delivery is evicted first', async () => {
  const { store, deliver, knows } = memory(3);
  for (const key of ['1', '2', '3']) await deliver(key);
  await deliver('1'); // delivered again, so it is the youngest
  await deliver('4');
  expect(await Promise.all(['1', '2', '3', '4'].map(knows))).toEqual([true, false, true, true]);
  expect(store.entries()).toBe(3);
});

test('expired events make room before any other is evicted, and are not counted', async () => {
  const { store, deliver, knows } = memory(2);
  await deliver('short', 10);
  await deliver('long', 1000);
  vi.advanceTimersByTime(10);
  expect(store.entries()).toBe(1);
  await deliver('next', 1000);
  expect(await Promise.all(['short', 'long', 'next'].map(knows))).toEqual([false, true, true]);
});

test('an expired event behind a live one is still unknown', async () => {
  const { deliver, knows } = memory(10);
  await deliver('long', 1000);
  await deliver('short', 10);
  vi.advanceTimersByTime(10);
  expect([await knows('long'), await knows('short')]).toEqual([true, false]);
});
