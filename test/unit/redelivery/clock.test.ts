// Redelivery while the clock goes back. The clock is the whole process's, so these tests run one after the other.
import { afterEach, expect, vi } from 'vitest';
import { eventually } from '../../support/proxy/proxied.ts';
import { test } from './fixtures.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('a clock that goes back stops nothing that failed before', async ({ app, results, start, delivery }) => {
  const redelivery = await start(() => ({}));
  app.answer = () => 500;
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => [...redelivery.list()].map(({ attempts }) => attempts), [1]);
  const now = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => now() - 1_800_000);
  app.answer = () => 200;
  expect(await redelivery.defer(delivery('later'), '500')).toBe('stored');
  await eventually(() => results, ['delivered']);
  await eventually(() => results, ['delivered', 'delivered']);
});

test('a clock that went back stops nothing that was not tried before', async ({ results, start, delivery }) => {
  const redelivery = await start(() => ({}));
  const early = { ...delivery('event'), at: Date.now() + 1_800_000 };
  expect(await redelivery.defer(early, '500')).toBe('stored');
  await eventually(() => results, ['delivered']);
});
