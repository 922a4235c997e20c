// An upstream that reads a large delivery slowly over TCP: the kernel wakes the proxy only once a third of its buffer is
// free, more than a second apart here, so that the proxy must look at the kernel's queue to see the progress.
import { expect, test } from 'vitest';
import { deliverTo } from '../support/upstream/slow-upstream.ts';

test('gets the whole of a delivery that takes longer than idleTimeout', async () => {
  expect(await deliverTo({ over: 'tcp', pause: 60 })).toEqual({ status: 200, whole: true });
});

test('is not confused with one that stops reading', async () => {
  expect(await deliverTo({ over: 'tcp', pause: null })).toEqual({ status: 504, whole: false });
});
