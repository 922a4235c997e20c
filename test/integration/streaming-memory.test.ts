// A body that streams is buffered nowhere.
// Forward routes carry bodies of any size, both ways, with a length and in chunks. The proxy's memory stays flat.
import { describe, expect } from 'vitest';
import { MIB, SIZE, test } from '../support/proxy/streaming.ts';
import { download, upload } from '../support/upstream/streams.ts';

/** The memory that 128 MiB may add to the proxy. Pieces that only the garbage collector freed took 60 MiB. */
const GROWTH = 24 * MIB;

describe('128 MiB pass through memory that stays flat', () => {
  test.for([
    ['up, with a length', (port: number) => upload(port, { path: '/patient/x', bytes: SIZE, chunked: false })],
    ['up, in chunks', (port: number) => upload(port, { path: '/patient/x', bytes: SIZE, chunked: true })],
    ['down, with a length', (port: number) => download(port, `/patient/${SIZE}`)],
    ['down, in chunks', (port: number) => download(port, `/patient/${SIZE}?chunked`)],
  ] as const)('%s, in 24 MiB more at most', async ([, carry], { proxy }) => {
    await upload(proxy.port, { path: '/patient/x', bytes: MIB, chunked: true });
    const before = await proxy.memory();
    expect(Number(await carry(proxy.port))).toBe(SIZE);
    expect((await proxy.memory()).peak - before.rss).toBeLessThan(GROWTH);
  });

  test('both ways at once, with a length and in chunks', async ({ proxy }) => {
    const results = await Promise.all([
      upload(proxy.port, { path: '/patient/x', bytes: SIZE / 4, chunked: true }),
      upload(proxy.port, { path: '/patient/x', bytes: SIZE / 4, chunked: false }),
      download(proxy.port, `/patient/${SIZE / 4}`),
      download(proxy.port, `/patient/${SIZE / 4}?chunked`),
    ]);
    expect(results.map(Number)).toEqual(Array(4).fill(SIZE / 4));
  });
});
