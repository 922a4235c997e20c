// A body that streams is held back at both ends.
// A client or an upstream that does not read slows the other side down, and is cut if it stops. A slow reader gets
// everything, and an early response arrives while the client still writes.
import { describe, expect } from 'vitest';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { head, IDLE, MIB, nextRecord, SIZE, test } from '../support/proxy/streaming.ts';

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
