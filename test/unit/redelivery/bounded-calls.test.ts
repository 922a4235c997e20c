import { expect, test } from 'vitest';
import { BoundedCalls } from '../../../src/redelivery/bounded-calls.ts';

/** Jobs that note their beginning, and end when they are told to. */
function jobs() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const job = (name: string) => () =>
    new Promise<void>((resolve) => {
      begun.push(name);
      ends.set(name, resolve);
    });
  return { begun, ends, job };
}

test('a large job keeps its place: small ones that come later do not keep it out', async () => {
  const { begun, ends, job } = jobs();
  const calls = new BoundedCalls('the store', () => 10);
  const first = calls.run(job('first'), 6);
  const rest = [calls.run(job('large'), 8), calls.run(job('small'), 1)];
  expect(begun).toEqual(['first']);
  ends.get('first')?.();
  await first;
  await expect.poll(() => begun).toEqual(['first', 'large', 'small']);
  for (const end of ends.values()) end();
  await Promise.all(rest);
});

test('one that is larger than all may be goes alone', async () => {
  const { begun, ends, job } = jobs();
  const calls = new BoundedCalls('the store', () => 10);
  const all = [calls.run(job('huge'), 99), calls.run(job('small'), 1)];
  expect(begun).toEqual(['huge']);
  ends.get('huge')?.();
  await expect.poll(() => begun).toEqual(['huge', 'small']);
  ends.get('small')?.();
  await Promise.all(all);
});

test('what is opened too late is closed, and what is opened in time is not', async () => {
  const calls = new BoundedCalls('the store', () => 10);
  const closed: string[] = [];
  const opened = (name: string) => ({ close: async () => void closed.push(name) });
  const late = Promise.withResolvers<ReturnType<typeof opened>>();
  await expect(calls.open(() => late.promise)).rejects.toThrow('did not answer');
  await calls.open(async () => opened('in time'));
  late.resolve(opened('late'));
  await expect.poll(() => closed).toEqual(['late']);
});
