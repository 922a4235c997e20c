// An upstream that reads a large delivery slowly, but steadily, is not an upstream that hangs: what counts is what the
// kernel takes, not what the proxy has handed to its socket.
import { expect, test } from 'vitest';
import { deliverTo } from '../support/upstream/slow-upstream.ts';

test('gets the whole of a delivery that takes longer than idleTimeout', async () => {
  expect(await deliverTo({ over: 'unix', pause: 12 })).toEqual({ status: 200, whole: true });
});

test('is not confused with one that stops reading', async () => {
  expect(await deliverTo({ over: 'unix', pause: null })).toEqual({ status: 504, whole: false });
});
