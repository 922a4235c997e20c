// WebSockets through the proxy as raw bytes. Only the handshake may be rewritten, and a side that does not read slows
// the other one down.
import { beforeEach, describe, expect, test } from 'vitest';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { AGREED, handshake } from '../support/websocket/client.ts';

const ROUTES = ['/live', '/ws/*'].map((path) => ({ path, action: 'forward', upgrade: ['websocket'] }));

/** The upstream accepts every handshake unless told otherwise. */
const on = shared(startLenientUpstream, { routes: ROUTES, log: { requests: 'all' } });
beforeEach(() => {
  on.upstream.answer(() => AGREED);
  on.upstream.seen.length = 0;
});

/** Resolves once the number has not changed for a second. */
async function untilSteady(read: () => number): Promise<void> {
  const seen: number[] = [];
  const steady = () => seen.push(read()) > 10 && new Set(seen.slice(-10)).size === 1;
  await expect.poll(steady, { interval: 100 }).toBe(true);
}

describe('as raw bytes', () => {
  test('the headers of the 101 arrive as sent too', async () => {
    const lines = ['X-Odd-CASE: \xe9', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'Keep-Alive: 5', 'X-No: '];
    on.upstream.answer(() => (socket) => {
      socket.end(AGREED.replace('\r\n\r\n', `\r\n${lines.join('\r\n')}\r\n\r\nhello`), 'latin1');
    });
    const client = await sendTo(on.proxy, handshake('/live'));
    const head = (await client.rest()).toString('latin1').split('\r\n');
    expect(head).toEqual(expect.arrayContaining(['X-Odd-CASE: \xe9', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-No: ']));
    expect(head.some((line) => /^(?:keep-alive|date|server):/i.test(line))).toBe(false);
    expect(head.at(-1)).toBe('hello');
    client.destroy();
  });

  test('bytes sent with the handshake reach the upstream in order once it accepts', async () => {
    const got: Buffer[] = [];
    const agree = Promise.withResolvers<() => void>();
    on.upstream.answer(() => (socket) => {
      socket.removeAllListeners('data').on('data', (piece: Buffer) => got.push(piece));
      agree.resolve(() => socket.write(AGREED));
    });
    const client = await sendTo(on.proxy, `${handshake('/live')}early, `);
    const now = await agree.promise;
    await client.send('later, ');
    expect(got).toEqual([]);
    now();
    await client.bytes(AGREED.length);
    await client.send('last');
    await expect.poll(() => Buffer.concat(got).toString()).toBe('early, later, last');
    client.destroy();
  });

  test('more than maxHeader before the 101 gets no tunnel, which would lack bytes', async () => {
    const closed = Promise.withResolvers<void>();
    on.upstream.answer(() => (socket) => {
      socket.once('close', () => closed.resolve());
      socket.write(AGREED);
    });
    const client = await openClient(on.proxy);
    // In one write, so that the proxy has read too much before it asks the upstream.
    await client.send(`${handshake('/live')}${'x'.repeat(32 * 1024)}`);
    await closed.promise;
    expect((await client.response()).status).toBe(400);
    expect(await client.rest()).toEqual(Buffer.alloc(0));
  });

  test('a client that does not read slows the upstream down and fills no memory', async () => {
    const total = 256 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024);
    let sent = 0;
    on.upstream.answer(() => (socket) => {
      socket.write(AGREED);
      const more = () => {
        while (sent < total) {
          sent += piece.length;
          if (!socket.write(piece)) return void socket.once('drain', more);
        }
        socket.end();
      };
      more();
    });
    const client = await sendTo(on.proxy, handshake('/live'));
    await client.bytes(AGREED.length);
    client.socket.pause();
    const before = await on.proxy.memory();
    await untilSteady(() => sent);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect((await on.proxy.memory()).peak - before.rss).toBeLessThan(48 * 1024 * 1024);
    client.destroy();
  });
});
