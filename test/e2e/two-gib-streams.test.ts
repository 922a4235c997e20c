// 2 GiB stream through memory that stays flat.
// A size for which the integration tests have no time: 2 GiB up and 2 GiB down through one proxy.
import { expect, test } from 'vitest';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { shared } from '../support/proxy/shared.ts';
import { download, startStreamingUpstream, upload } from '../support/upstream/streams.ts';

const MIB = 1024 * 1024;
const SIZE = 2048 * MIB;
const GROWTH = 24 * MIB;

const on = shared(startStreamingUpstream, { unmatched: 'forward' }, { flags: IMAGE_FLAGS, env: IMAGE_ENV });

test.each([
  ['up, with a length', () => upload(on.proxy.port, { path: '/x', bytes: SIZE, chunked: false })],
  ['up, in chunks', () => upload(on.proxy.port, { path: '/x', bytes: SIZE, chunked: true })],
  ['down, with a length', () => download(on.proxy.port, `/${SIZE}`)],
  ['down, in chunks', () => download(on.proxy.port, `/${SIZE}?chunked`)],
])('a stream of 2 GiB goes %s, within 24 MiB', async (_name, carry) => {
  await upload(on.proxy.port, { path: '/x', bytes: MIB, chunked: true });
  const before = await on.proxy.memory();
  expect(Number(await carry())).toBe(SIZE);
  const { peak, rss } = await on.proxy.memory();
  console.log(
    `${((peak - before.rss) / MIB).toFixed(0)} MiB more at most, ${((rss - before.rss) / MIB).toFixed(0)} after`,
  );
  expect(peak - before.rss).toBeLessThan(GROWTH);
  await untilAtRest(on.proxy);
});
