// Forward routes carry bodies of any size. Memory stays flat, a slow side slows the other down, and a side that stops
// is cut. A partial body never looks complete.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { expectSlotsFree, untilAtRest, untilMetrics } from '../support/at-rest.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/image-env.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient, type RawClient } from '../support/raw-client.ts';
import { download, type StreamingUpstream, startStreamingUpstream, upload } from '../support/streams.ts';

const MIB = 1024 * 1024;
const SIZE = 128 * MIB;
/** The memory that 128 MiB may add to the proxy. Pieces that only the garbage collector freed took 60 MiB. */
const GROWTH = 24 * MIB;
const SLOTS = 4;
const IDLE = 700;

let upstream: StreamingUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startStreamingUpstream();
  proxy = await startProxy({
    flags: IMAGE_FLAGS,
    env: IMAGE_ENV,
    config: {
      upstream: { url: upstream.url, connections: SLOTS, responseTimeout: '600ms', idleTimeout: `${IDLE}ms` },
      routes: [
        { path: '/open/*', action: 'forward' },
        { path: '/patient/*', action: 'forward', idleTimeout: '30s', responseTimeout: '30s' },
      ],
      log: { requests: 'all' },
    },
    secrets: { current: 'streams-0123456789abcdef0123456789abcdef' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});
afterEach(async () => {
  await untilAtRest(proxy);
  await expectSlotsFree(proxy, { slots: SLOTS, target: '/open/0' });
});

const head = (target: string, ...lines: string[]) =>
  `${[`POST ${target} HTTP/1.1`, 'Host: h', ...lines].join('\r\n')}\r\n\r\n`;

async function begin(bytes: string): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(bytes);
  return client;
}

/** The log record of the next request to this path that ends. */
async function nextRecord(path: string, act: () => Promise<unknown>): Promise<Readonly<Record<string, unknown>>> {
  const records = () => proxy.logs().filter((line) => line.msg === 'request' && line.path === path);
  const before = records().length;
  await act();
  await proxy.waitForLog(() => records().length > before, 'a record');
  return records()[before] ?? {};
}

describe('128 MiB pass through memory that stays flat', () => {
  test.each([
    ['up, with a length', () => upload(proxy.port, { path: '/patient/x', bytes: SIZE, chunked: false })],
    ['up, in chunks', () => upload(proxy.port, { path: '/patient/x', bytes: SIZE, chunked: true })],
    ['down, with a length', () => download(proxy.port, `/patient/${SIZE}`)],
    ['down, in chunks', () => download(proxy.port, `/patient/${SIZE}?chunked`)],
  ])('%s', async (_name, carry) => {
    await upload(proxy.port, { path: '/patient/x', bytes: MIB, chunked: true });
    const before = await proxy.memory();
    expect(Number(await carry())).toBe(SIZE);
    expect((await proxy.memory()).peak - before.rss).toBeLessThan(GROWTH);
  });

  test('both ways at once, twice over', async () => {
    const results = await Promise.all([
      upload(proxy.port, { path: '/patient/x', bytes: SIZE / 4, chunked: true }),
      upload(proxy.port, { path: '/patient/x', bytes: SIZE / 4, chunked: false }),
      download(proxy.port, `/patient/${SIZE / 4}`),
      download(proxy.port, `/patient/${SIZE / 4}?chunked`),
    ]);
    expect(results.map(Number)).toEqual(Array(4).fill(SIZE / 4));
  });
});

describe('a client that stops reading', () => {
  test('slows the upstream down, and is cut after idleTimeout', async () => {
    const already = upstream.given;
    const record = await nextRecord(`/open/${16 * SIZE}`, async () => {
      const client = await begin(`GET /open/${16 * SIZE} HTTP/1.1\r\nHost: h\r\n\r\n`);
      client.socket.pause();
      const closed = new Promise((resolve) => client.socket.once('close', resolve));
      await untilMetrics(proxy, ['requests_in_flight'], ([now]) => now === 0);
      client.socket.resume();
      await closed;
    });
    // The kernel buffers of two sockets and no more; the proxy cannot bound those.
    expect(upstream.given - already).toBeLessThan(4 * SIZE);
    expect(record).toMatchObject({ decision: 'forwarded', reason: 'client_closed' });
  });

  test('after the upstream has sent everything, is still cut', async () => {
    const client = await begin(`GET /open/${8 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(3));
    client.socket.pause();
    await untilMetrics(proxy, ['connections'], ([now]) => now === 1);
    await untilMetrics(proxy, ['connections', 'requests_in_flight'], ([open, busy]) => open === 0 && busy === 0);
    client.destroy();
  });

  test('for less than idleTimeout gets everything', async () => {
    const client = await begin(`GET /patient/${16 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
    client.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, IDLE * 2)); // longer than the other route allows
    client.socket.resume();
    expect((await client.response()).body.length).toBe(16 * MIB);
    client.destroy();
  });
});

describe('a client that stops sending', () => {
  test.each([
    ['with a length', `${head('/open/x', 'Content-Length: 100')}part`],
    ['in chunks', `${head('/open/x', 'Transfer-Encoding: chunked')}4\r\npart\r\n`],
    ['before the first byte', head('/open/x', 'Content-Length: 100')],
  ])('%s: 408, counted, and the upstream sees the request break', async (_name, bytes) => {
    const ends = upstream.ends.length;
    const record = await nextRecord('/open/x', async () => {
      const client = await begin(bytes);
      const response = await client.response();
      expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
      await client.rest();
    });
    expect(record).toMatchObject({ decision: 'rejected', reason: 'body_timeout', status: 408 });
    await untilAtRest(proxy);
    expect(upstream.ends.slice(ends).includes('whole')).toBe(false);
  });

  test('after the response has begun: the connection is cut', async () => {
    const client = await begin(`${head('/open/early', 'Content-Length: 1000000')}part`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    await client.rest();
  });

  test('a drip that never pauses for idleTimeout goes through', async () => {
    const client = await begin(head('/open/x', 'Content-Length: 6'));
    for (const letter of 'abcdef') {
      await new Promise((resolve) => setTimeout(resolve, IDLE / 4));
      await client.send(letter);
    }
    expect((await client.response()).body.toString()).toBe('6');
    client.destroy();
  });
});

describe('an upstream that', () => {
  test('does not read slows the client down, and is dropped after responseTimeout', async () => {
    const client = await begin(head('/open/deaf', `Content-Length: ${SIZE}`));
    let sent = 0;
    const piece = Buffer.alloc(MIB);
    const push = () => {
      while (sent < SIZE && client.socket.write(piece)) sent += piece.length;
    };
    client.socket.on('drain', push);
    push();
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([504, '{"error":"gateway_timeout"}']);
    expect(sent).toBeLessThan(64 * MIB);
    client.destroy();
  });

  test('responds early: the client gets the response while it still writes', async () => {
    const client = await begin(head('/open/early', `Content-Length: ${20 * MIB}`));
    const written = client.send(Buffer.alloc(20 * MIB));
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    expect(response.lines).toContain('Connection: close');
    await written;
    await client.rest();
  });
});

describe('bodies in odd pieces', () => {
  test('two hundred thousand chunks of one byte arrive', async () => {
    const client = await openClient({ port: proxy.port });
    await client.send(head('/patient/x', 'Transfer-Encoding: chunked'));
    await client.send(`${'1\r\nx\r\n'.repeat(200_000)}0\r\n\r\n`);
    expect((await client.response()).body.toString()).toBe('200000');
    client.destroy();
  });

  test('Expect: 100-continue is answered once the upstream is connected, and the body follows', async () => {
    const client = await begin(head('/open/x', 'Content-Length: 3', 'Expect: 100-continue'));
    const interim = await client.bytes('HTTP/1.1 100 Continue\r\n\r\n'.length);
    expect(interim.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    await client.send('abc');
    expect((await client.response()).body.toString()).toBe('3');
    client.destroy();
  });
});
