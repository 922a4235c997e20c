// Bodies that stream: they are buffered nowhere, held back at both ends, and arrive whole or are seen to break. A client or an
// upstream that does not read slows the other side down, and is cut if it stops.
import { describe, expect } from 'vitest';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { head, IDLE, MIB, nextRecord, SIZE, STEADY, test } from '../support/proxy/streaming.ts';
import { download, upload } from '../support/upstream/streams.ts';

/** The memory that 128 MiB may add to the proxy. Pieces that only the garbage collector freed took 60 MiB. */
const GROWTH = 24 * MIB;

// First: what other tests leave in the process would count, too.
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

describe('a client that stops reading', () => {
  test('slows the upstream down, and is cut after idleTimeout', async ({ upstream, proxy, begin }) => {
    const already = upstream.given;
    const record = await nextRecord(proxy, `/open/${16 * SIZE}`, async () => {
      const client = await begin(`GET /open/${16 * SIZE} HTTP/1.1\r\nHost: h\r\n\r\n`);
      client.socket.pause();
      const closed = new Promise((resolve) => client.socket.once('close', resolve));
      await expect.poll(() => upstream.given).toBeGreaterThan(already); // before that, none is in flight either
      await untilMetrics(proxy, ['requests_in_flight'], ([now]) => now === 0);
      // To gather what the kernel buffered takes seconds.
      client.socket
        .removeAllListeners('data')
        .on('data', () => {})
        .resume();
      await closed;
    });
    // The kernel buffers of two sockets and no more; the proxy cannot bound those.
    expect(upstream.given - already).toBeLessThan(4 * SIZE);
    expect(record).toMatchObject({ decision: 'forwarded', reason: 'client_closed' });
  });

  test('after the upstream has sent everything, is still cut', async ({ proxy, begin }) => {
    const client = await begin(`GET /open/${8 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(3));
    client.socket.pause();
    await untilMetrics(proxy, ['connections'], ([now]) => now === 1);
    await untilMetrics(proxy, ['connections', 'requests_in_flight'], ([open, busy]) => open === 0 && busy === 0);
    client.destroy();
  });

  test('for less than idleTimeout gets everything', async ({ begin }) => {
    const client = await begin(`GET /patient/${16 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
    client.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, IDLE * 2)); // longer than the other route allows
    client.socket.resume();
    expect((await client.response()).body.length).toBe(16 * MIB);
    client.destroy();
  });
});

describe('an upstream that', () => {
  test('does not read slows the client down, and is dropped after responseTimeout', async ({ begin }) => {
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
    client.destroy();
  });

  test('responds early: the client gets the response while it still writes', async ({ begin }) => {
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
  ] as const)(
    '%s: 408, counted, and the upstream sees the request break',
    async ([, bytes], { upstream, proxy, begin }) => {
      const ends = upstream.ends.length;
      const record = await nextRecord(proxy, '/open/x', async () => {
        const client = await begin(bytes);
        const response = await client.response();
        expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
        await client.rest();
      });
      expect(record).toMatchObject({ decision: 'rejected', reason: 'body_timeout', status: 408 });
      await untilAtRest(proxy);
      expect(upstream.ends.slice(ends).includes('whole')).toBe(false);
    },
  );

  test('after the response has begun: the connection is cut', async ({ begin }) => {
    const client = await begin(`${head('/steady/early', 'Content-Length: 1000000')}part`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    await client.rest();
  });

  test('a drip that never pauses for idleTimeout goes through', async ({ begin }) => {
    const client = await begin(head('/steady/x', 'Content-Length: 6'));
    for (const letter of 'abcdef') {
      await new Promise((resolve) => setTimeout(resolve, STEADY / 4));
      await client.send(letter);
    }
    expect((await client.response()).body.toString()).toBe('6');
    client.destroy();
  });
});

describe('bodies in odd pieces', () => {
  test('Expect: 100-continue is answered once the upstream is connected, and the body follows', async ({ begin }) => {
    const client = await begin(head('/patient/x', 'Content-Length: 3', 'Expect: 100-continue'));
    const interim = await client.bytes('HTTP/1.1 100 Continue\r\n\r\n'.length);
    expect(interim.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    await client.send('abc');
    expect((await client.response()).body.toString()).toBe('3');
    client.destroy();
  });
});
