// The memory of `once`: bounded, and every event is forgotten on time.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createMemoryStore } from '../../../src/once/store.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

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

test('neither a claim nor a released one marks an event', async () => {
  const { store, knows } = memory(10);
  await store.claim('e');
  await store.release('e');
  expect([await knows('e'), store.entries()]).toEqual([false, 0]);
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

test('a full memory keeps the newest, also where one event is delivered again and again', async () => {
  const { store, deliver } = memory(1000);
  for (let nth = 0; nth < 5000; nth++) {
    await deliver(`event-${nth}`);
    if (nth % 7 === 0) await deliver(`event-${nth}`);
    if (nth % 11 === 0) await deliver('again and again');
  }
  expect(store.entries()).toBe(1000);
  expect(await store.claim('event-4999')).toBe('delivered');
  expect(await store.claim('again and again')).toBe('delivered');
  expect(await store.claim('event-3000')).toBe('first');
});
