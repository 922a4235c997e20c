// Bodies that stream: they are buffered nowhere, held back at both ends, and arrive whole or are seen to break. A client or an
// upstream that does not read slows the other side down, and is cut if it stops.
import { afterEach, describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { endClients, sendTo } from '../support/http/raw-client.ts';
import { request } from '../support/http/requests.ts';
import type { LogLine } from '../support/machine/child-output.ts';
import { expectSlotsFree, untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { heapOf, IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { shared } from '../support/proxy/shared.ts';
import { download, startStreamingUpstream, upload } from '../support/upstream/streams.ts';

const MIB = 1024 * 1024;
/** More than all buffers on the way hold. */
const SIZE = 128 * MIB;
/** Milliseconds of `idleTimeout` on `/open/*`; of `/steady/*`; that of `/patient/*` is longer than any test. */
const IDLE = 700;
const STEADY = 2000;
const SLOTS = 4;
const route = (path: string, times = {}) => ({ path, action: 'forward', ...times });

const on = shared(
  startStreamingUpstream,
  {
    upstream: { connections: SLOTS, idleTimeout: `${IDLE}ms` },
    routes: [
      route('/open/*'),
      route('/hasty/*', { responseTimeout: '600ms' }),
      route('/steady/*', { idleTimeout: `${STEADY}ms` }),
      route('/patient/*', { idleTimeout: '10m' }),
    ],
    log: { requests: 'all' },
  },
  // The heap of a small container: with a machine's V8 collects late.
  { flags: [heapOf(128), ...IMAGE_FLAGS], env: IMAGE_ENV, secrets: { current: SECRET } },
);
afterEach(async () => {
  endClients();
  await untilAtRest(on.proxy);
  await expectSlotsFree(on.proxy, { slots: SLOTS, target: '/patient/0' });
});

const begin = (bytes: string) => sendTo(on.proxy, bytes);
const head = (target: string, ...lines: string[]) => request([`POST ${target} HTTP/1.1`, 'Host: h', ...lines]);

/** The log record of the next request to this path that ends. */
async function nextRecord(path: string, act: () => Promise<unknown>): Promise<LogLine> {
  const records = () => on.proxy.logs().filter((line) => line.msg === 'request' && line.path === path);
  const before = records().length;
  await act();
  await on.proxy.waitForLog(() => records().length > before, 'a record');
  return records()[before] ?? {};
}

/**
 * The memory that 128 MiB may add to the proxy: on the image's Node they add up to 8 MiB, and 33 if only the garbage collector
 * frees sent pieces. Node 24 collects later: 22 and 24 to 36.
 */
const GROWTH = (process.versions.node < '26' ? 32 : 16) * MIB;

// First: what other tests leave in the process would count, too.
// One writer frames the bytes, whichever way they go: with a length, or in chunks.
test.for([
  ['up, in chunks', (port: number) => upload(port, { path: '/patient/x', bytes: SIZE })],
  ['down, with a length', (port: number) => download(port, `/patient/${SIZE}`)],
] as const)('128 MiB pass %s, and stay in no memory', async ([, carry]) => {
  await upload(on.proxy.port, { path: '/patient/x', bytes: MIB });
  const before = await on.proxy.memory();
  expect(Number(await carry(on.proxy.port))).toBe(SIZE);
  expect((await on.proxy.memory()).peak - before.rss).toBeLessThan(GROWTH);
});

describe('a client that stops reading', () => {
  test('slows the upstream down, and is cut after idleTimeout', async () => {
    const already = on.upstream.given;
    const record = await nextRecord(`/open/${16 * SIZE}`, async () => {
      const client = await begin(`GET /open/${16 * SIZE} HTTP/1.1\r\nHost: h\r\n\r\n`);
      client.socket.pause();
      const closed = new Promise((resolve) => client.socket.once('close', resolve));
      await expect.poll(() => on.upstream.given).toBeGreaterThan(already); // before that, none is in flight either
      await untilMetrics(on.proxy, ['requests_in_flight'], ([now]) => now === 0);
      // To gather what the kernel buffered takes seconds.
      client.socket
        .removeAllListeners('data')
        .on('data', () => {})
        .resume();
      await closed;
    });
    // The kernel buffers of two sockets and no more; the proxy cannot bound those.
    expect(on.upstream.given - already).toBeLessThan(4 * SIZE);
    expect(record).toMatchObject({ decision: 'forwarded', reason: 'client_closed' });
  });

  test('after the upstream has sent everything, is still cut', async () => {
    const client = await begin(`GET /open/${8 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(3));
    client.socket.pause();
    await untilMetrics(on.proxy, ['connections'], ([now]) => now === 1);
    await untilMetrics(on.proxy, ['connections', 'requests_in_flight'], ([open, busy]) => open === 0 && busy === 0);
  });

  test('for less than idleTimeout gets everything', async () => {
    const client = await begin(`GET /patient/${16 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
    client.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, IDLE * 2)); // longer than the other route allows
    client.socket.resume();
    expect((await client.response()).body.length).toBe(16 * MIB);
  });
});

describe('an upstream that', () => {
  test('does not read slows the client down, and is dropped after responseTimeout', async () => {
    const client = await begin(head('/hasty/deaf', `Content-Length: ${SIZE}`));
    let sent = 0;
    const piece = Buffer.alloc(MIB);
    const push = () => {
      while (sent < SIZE && client.socket.write(piece)) sent += piece.length;
    };
    client.socket.on('drain', push);
    push();
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([504, '{"error":"gateway_timeout"}']);
    expect(response.lines).toContain('Connection: close');
    expect(sent).toBeLessThan(64 * MIB);
  });

  test('responds early: the client gets the response while it still writes', async () => {
    const client = await begin(head('/patient/early', `Content-Length: ${20 * MIB}`));
    const written = client.send(Buffer.alloc(20 * MIB));
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    expect(response.lines).toContain('Connection: close');
    await written;
    await client.rest();
  });
});

describe('a client that stops sending', () => {
  test.for([
    ['with a length', `${head('/open/x', 'Content-Length: 100')}part`],
    ['in chunks', `${head('/open/x', 'Transfer-Encoding: chunked')}4\r\npart\r\n`],
    ['before the first byte', head('/open/x', 'Content-Length: 100')],
  ] as const)('%s: 408, counted, and the upstream sees the request break', async ([, bytes]) => {
    const ends = on.upstream.ends.length;
    const record = await nextRecord('/open/x', async () => {
      const client = await begin(bytes);
      const response = await client.response();
      expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
      await client.rest();
    });
    const hint = 'the body paused for longer than idleTimeout';
    expect(record).toMatchObject({ decision: 'rejected', reason: 'body_timeout', status: 408, hint });
    await untilAtRest(on.proxy);
    expect(on.upstream.ends.slice(ends).includes('whole')).toBe(false);
  });

  test('after the response has begun: the connection is cut', async () => {
    const client = await begin(`${head('/steady/early', 'Content-Length: 1000000')}part`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    await client.rest();
  });

  test('a drip that never pauses for idleTimeout goes through', async () => {
    const client = await begin(head('/steady/x', 'Content-Length: 6'));
    for (const letter of 'abcdef') {
      await new Promise((resolve) => setTimeout(resolve, STEADY / 4));
      await client.send(letter);
    }
    expect((await client.response()).body.toString()).toBe('6');
  });
});

test('Expect: 100-continue is answered once the upstream is connected, and the body follows', async () => {
  const client = await begin(head('/patient/x', 'Content-Length: 3', 'Expect: 100-continue'));
  const interim = await client.bytes('HTTP/1.1 100 Continue\r\n\r\n'.length);
  expect(interim.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  await client.send('abc');
  expect((await client.response()).body.toString()).toBe('3');
});
