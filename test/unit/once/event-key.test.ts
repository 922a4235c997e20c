// Two deliveries are the same event if the path as sent and the body's bytes match; the key reveals neither.
import { expect, test } from 'vitest';
import { eventKey } from '../../../src/once/claims.ts';

test('the same path and body give the same key, everything else another', () => {
  const events = [
    ['/notify', 'body'],
    ['/notify/', 'body'],
    ['/Notify', 'body'],
    ['/%6eotify', 'body'],
    ['/notify', 'body '],
    ['/notify', ''],
    ['/notifyb', 'ody'],
    ['/notify', '\xff'],
    ['/notify', '\xfe'],
  ] as const;
  const keys = events.map(([path, body]) => eventKey(path, Buffer.from(body, 'latin1')));
  expect(new Set(keys).size).toBe(events.length);
  expect(events.map(([path, body]) => eventKey(path, Buffer.from(body, 'latin1')))).toEqual(keys);
  for (const key of keys) expect(key).toMatch(/^[\w-]{43}$/);
});
