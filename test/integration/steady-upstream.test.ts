// An upstream that reads a large delivery slowly, but steadily, is not an upstream that hangs: what counts is what the
// kernel takes, not what the proxy has handed to its socket.
import { expect, test } from 'vitest';
import { deliverSlowly } from '../support/upstream/slow-upstream.ts';

test('gets the whole of a delivery that takes longer than idleTimeout, unlike one that stops reading', async () => {
  const { slow, still } = await deliverSlowly('unix', 12);
  expect(slow).toEqual({ status: 200, whole: true });
  expect(still).toEqual({ status: 504, whole: false });
});
