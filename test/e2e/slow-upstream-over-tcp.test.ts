// An upstream that reads a large delivery slowly over TCP: the kernel wakes the proxy only once a third of its buffer is
// free, more than a second apart here, so that the proxy must look at the kernel's queue to see the progress.
import { expect, test } from 'vitest';
import { deliverSlowly } from '../support/upstream/slow-upstream.ts';

test('gets the whole of a delivery that takes longer than idleTimeout, unlike one that stops reading', async () => {
  const { slow, still } = await deliverSlowly('tcp', 60);
  expect(slow).toEqual({ status: 200, whole: true });
  expect(still).toEqual({ status: 504, whole: false });
});
