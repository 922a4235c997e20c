// 2 GiB stream through memory that stays flat.
// A size for which the integration tests have no time: 2 GiB up and 2 GiB down through one proxy.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { download, type StreamingUpstream, startStreamingUpstream, upload } from '../support/upstream/streams.ts';

const MIB = 1024 * 1024;
const SIZE = 2048 * MIB;
const GROWTH = 24 * MIB;

let upstream: StreamingUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startStreamingUpstream();
  proxy = await startProxy({
    flags: IMAGE_FLAGS,
    env: IMAGE_ENV,
    config: { upstream: { url: upstream.url }, unmatched: 'forward' },
    secrets: { current: 'two-gibibytes-0123456789abcdef012345' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test.each([
  ['up, with a length', () => upload(proxy.port, { path: '/x', bytes: SIZE, chunked: false })],
  ['up, in chunks', () => upload(proxy.port, { path: '/x', bytes: SIZE, chunked: true })],
  ['down, with a length', () => download(proxy.port, `/${SIZE}`)],
  ['down, in chunks', () => download(proxy.port, `/${SIZE}?chunked`)],
])('%s', async (_name, carry) => {
  await upload(proxy.port, { path: '/x', bytes: MIB, chunked: true });
  const before = await proxy.memory();
  expect(Number(await carry())).toBe(SIZE);
  const { peak, rss } = await proxy.memory();
  console.log(
    `${((peak - before.rss) / MIB).toFixed(0)} MiB more at most, ${((rss - before.rss) / MIB).toFixed(0)} after`,
  );
  expect(peak - before.rss).toBeLessThan(GROWTH);
  await untilAtRest(proxy);
});
