// Handshakes that the upstream refuses or does not answer, and tunnels that either side leaves. Each ends in a response or a
// cut, never in a hang or a leaked socket; the other side gets the bytes sent before and then the end, and nothing is sent later.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endClients, openClient, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { values } from '../support/http/response-parser.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { eventually, test as ownTest } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { ACCEPT, AGREED, handshake } from '../support/websocket/client.ts';

/** Routes with one short timeout each, since a busy machine exceeds it, too. */
const SOON_IDLE = '/soon-idle';
const SOON_LATE = '/soon-late';
const route = (path: string, limits = {}) => ({ path, action: 'forward', upgrade: ['websocket'], ...limits });
const ROUTES = [
  route('/live'),
  route(SOON_IDLE, { idleTimeout: '500ms' }),
  route(SOON_LATE, { responseTimeout: '500ms' }),
];

/** Nothing else ends by itself before the test does. */
const on = shared(() => startLenientUpstream({ allowHalfOpen: true }), {
  upstream: { responseTimeout: '10m', retryConnectFor: '5m' },
  routes: ROUTES,
  log: { requests: 'all' },
});
let client: RawClient;
let earlier: { readonly lines: number; readonly metrics: Map<string, number> };
beforeEach(async () => {
  earlier = { lines: on.proxy.logs().length, metrics: await on.proxy.metrics() };
  client = await openClient(on.proxy);
});
afterEach(async () => {
  endClients();
  await on.upstream.stop();
  await on.upstream.listen();
  on.upstream.seen.length = 0;
  await untilAtRest(on.proxy);
});

/** The log line of the request to this route, once that has ended. */
async function ended(path = '/live') {
  const logged = () =>
    on.proxy
      .logs()
      .slice(earlier.lines)
      .find((line) => line.path === path);
  await on.proxy.waitForLog(() => logged() !== undefined, 'the request log');
  return logged();
}

/** The upstream failures of the route by this cause, without those of earlier tests. */
async function failures(cause: string, path = '/live') {
  const series = `entrupy_proxy_upstream_failures_total{route="${path}",cause="${cause}"}`;
  return ((await on.proxy.metrics()).get(series) ?? Number.NaN) - (earlier.metrics.get(series) ?? 0);
}

const inFlight = async () => (await on.proxy.metrics()).get('entrupy_proxy_requests_in_flight');
/** Makes the upstream act on the handshake; resolves with its socket once the handshake has arrived. */
const onHandshake = (act: (socket: Socket) => void, { script } = on.upstream) =>
  new Promise<Socket>((resolve) => {
    script((socket) => {
      act(socket);
      resolve(socket);
    });
  });
const noneLeft = () => eventually(() => on.upstream.sockets().size, 0);
/** An upstream that closes once its client has. */
const polite = (socket: Socket) => void socket.once('end', () => socket.end());
const agrees = (socket: Socket) => void socket.write(AGREED);
/** From now on what comes is put here. */
const takeOver = (socket: Socket, got: Buffer[]) =>
  void socket.removeAllListeners('data').on('data', (piece: Buffer) => got.push(piece));
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

test('of a handshake that the upstream refuses its status, headers and body come, and the connection ends', async () => {
  const lines = ['WWW-Authenticate: Basic realm="\xe9"', 'Set-Cookie: a', 'Set-Cookie: b', 'Content-Length: 9'];
  onHandshake((socket) => {
    polite(socket);
    socket.write(`HTTP/1.1 401 Nope\r\n${lines.join('\r\n')}\r\n\r\nforbidden`, 'latin1');
  });
  await client.send(handshake('/live'));
  const response = await client.response();
  expect([response.status, response.reason, response.body.toString()]).toEqual([401, 'Nope', 'forbidden']);
  expect(response.lines).toEqual([...lines, 'Connection: close']);
  expect((await client.rest()).length).toBe(0);
  expect(await ended()).toMatchObject({ status: 401, decision: 'forwarded', reason: 'none' });
  await noneLeft();
});

describe('a handshake that the upstream does not answer', () => {
  test('within the timeout: 504', async () => {
    onHandshake(polite);
    await client.send(handshake(SOON_LATE));
    expect(await client.response()).toMatchObject({ status: 504, body: Buffer.from('{"error":"gateway_timeout"}') });
    await expect.poll(() => failures('timeout', SOON_LATE)).toBe(1);
    await noneLeft();
  });

  test.for([
    ['but closes', (socket: Socket) => socket.end(), 'reset'],
    ['but resets', (socket: Socket) => socket.resetAndDestroy(), 'reset'],
    ['with half a head', (socket: Socket) => socket.end('HTTP/1.1 101 Switch'), 'reset'],
    ['with garbage', (socket: Socket) => socket.write('no http\r\n\r\n'), 'protocol'],
    ...[
      ['that upgrades nothing', 'HTTP/1.1 101 Hm\r\n\r\n'],
      ['without Upgrade', AGREED.replace('Upgrade: websocket\r\n', '')],
      ['to another protocol', AGREED.replace('websocket', 'h2c')],
      ['with two Upgrades', AGREED.replace('Connection', 'Upgrade: websocket\r\nConnection')],
      ['without an accept', AGREED.replace(/Sec-.*\r\n/, '')],
      ['with the accept of another key', AGREED.replace(ACCEPT, ACCEPT.replace('s3', 's4'))],
      ['with two accepts', AGREED.replace(/Sec-.*\r\n/, '$&$&')],
    ].map(
      ([what, answer = '']) => [`with a 101 ${what}`, (socket: Socket) => socket.write(answer), 'protocol'] as const,
    ),
  ] as const)('%s: 502', async ([, act, cause]) => {
    onHandshake((socket) => {
      polite(socket);
      act(socket);
    });
    await client.send(handshake('/live'));
    expect(await client.response()).toMatchObject({ status: 502, body: Buffer.from('{"error":"bad_gateway"}') });
    await expect.poll(() => failures(cause)).toBe(1);
    await noneLeft();
  });

  test('because it is restarting: the tunnel opens once it is back', async () => {
    await on.upstream.stop();
    await client.send(handshake('/live'));
    await expect.poll(inFlight).toBe(1);
    on.upstream.script((socket) => socket.write(AGREED));
    await on.upstream.listen();
    expect((await client.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
    expect(on.upstream.seen).toHaveLength(1);
  });

  ownTest('because every slot is taken: 503 after the wait; no slot leaks', async ({ start, lenient }) => {
    const settings = { url: lenient.url, connections: 1, retryConnectFor: '300ms', responseTimeout: '10m' };
    const proxy = await start({ upstream: settings, routes: ROUTES });
    const agree = onHandshake(() => {}, lenient);
    const holder = await sendTo(proxy, handshake('/live'));
    const first = await agree;
    const second = await sendTo(proxy, handshake('/live'));
    const refused = await second.response();
    expect([refused.status, refused.body.toString()]).toEqual([503, '{"error":"overloaded"}']);
    expect(values(refused.lines, 'retry-after')).toEqual(['1']);
    // An open tunnel holds no slot.
    first.write(AGREED);
    await holder.bytes(AGREED.length);
    lenient.script(agrees);
    const third = await sendTo(proxy, handshake('/live'));
    expect((await third.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
  });
});

describe('a client that leaves', () => {
  const ways = [
    ['by FIN', (socket: Socket) => void socket.end()],
    ['by reset', (socket: Socket) => void socket.resetAndDestroy()],
  ] as const;

  test.for(ways)('%s before the response: the upstream connection is closed at once', async ([, leave]) => {
    const there = onHandshake(polite);
    await client.send(handshake('/live'));
    const socket = await there;
    leave(client.socket);
    await closed(socket);
    expect(await ended()).toMatchObject({ status: 499, decision: 'forwarded', reason: 'client_closed' });
    expect(await inFlight()).toBe(0);
  });

  test.for(ways)('%s while it waits for the upstream to return: nothing is sent later', async ([, leave]) => {
    await on.upstream.stop();
    await client.send(handshake('/live'));
    await expect.poll(inFlight).toBe(1);
    leave(client.socket);
    await ended();
    await on.upstream.listen();
    const other = await openClient(on.proxy);
    on.upstream.script((socket) => socket.write(AGREED));
    await other.send(handshake('/live?other'));
    await other.bytes(AGREED.length);
    expect(on.upstream.list()).toEqual(['GET /live?other']);
  });

  test.for(ways)('%s mid-tunnel: the upstream sees it, and it is not counted as a failure', async ([, leave]) => {
    const there = onHandshake(agrees);
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    polite(await there);
    leave(client.socket);
    await closed(await there);
    expect(await ended()).toMatchObject({ status: 101, decision: 'forwarded', reason: 'none' });
    expect(await failures('reset')).toBe(0);
  });

  test('its last bytes still reach the upstream', async () => {
    const got: Buffer[] = [];
    const there = onHandshake((socket) => {
      takeOver(socket, got);
      socket.write(AGREED);
    });
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    client.socket.end(Buffer.alloc(1_000_000, 1));
    const socket = await there;
    await new Promise((resolve) => socket.once('end', resolve));
    expect(Buffer.concat(got).length).toBe(1_000_000);
  });
});

describe('the bytes', () => {
  test('of the head of a 101 arrive as sent too', async () => {
    const kept = ['X-Odd-CASE: \xe9', 'x-odd-case: 1', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-No: ', '__proto__: x'];
    const lines = [...kept, 'Keep-Alive: 5', 'Content-length: 9'];
    onHandshake((socket) => socket.end(AGREED.replace('\r\n\r\n', `\r\n${lines.join('\r\n')}\r\n\r\nhello`), 'latin1'));
    await client.send(handshake('/live'));
    const head = (await client.rest()).toString('latin1').split('\r\n');
    expect(head).toEqual(expect.arrayContaining(kept));
    expect(head.some((line) => /^(?:keep-alive|content-length|date|server):/i.test(line))).toBe(false);
    expect(head.at(-1)).toBe('hello');
  });

  test('sent with the handshake reach the upstream in order once it accepts', async () => {
    const got: Buffer[] = [];
    const there = onHandshake((socket) => takeOver(socket, got));
    await client.send(`${handshake('/live')}early, `);
    const socket = await there;
    await client.send('later, ');
    expect(got).toEqual([]);
    socket.write(AGREED);
    await client.bytes(AGREED.length);
    await client.send('last');
    await expect.poll(() => Buffer.concat(got).toString()).toBe('early, later, last');
  });

  test('before the 101 get no tunnel, which would lack bytes, if they are more than maxHeader', async () => {
    const there = onHandshake((socket) => {
      polite(socket);
      socket.write(AGREED);
    });
    // In one write, so that the proxy has read too much before it asks the upstream.
    await client.send(`${handshake('/live')}${'x'.repeat(32 * 1024)}`);
    await closed(await there);
    expect((await client.response()).status).toBe(400);
    expect(await client.rest()).toEqual(Buffer.alloc(0));
  });

  test('that a client does not read slow the upstream down and fill no memory', async () => {
    const total = 256 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024);
    let sent = 0;
    onHandshake((socket) => {
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
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    client.socket.pause();
    const before = await on.proxy.memory();
    const seen: number[] = [];
    // Until the number has not changed for a second.
    const steady = () => seen.push(sent) > 10 && new Set(seen.slice(-10)).size === 1;
    await expect.poll(steady, { interval: 100 }).toBe(true);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect((await on.proxy.memory()).peak - before.rss).toBeLessThan(48 * 1024 * 1024);
  });
});

describe('an upstream that leaves mid-tunnel', () => {
  const ways: [string, (socket: Socket) => void, number][] = [
    ['by FIN', (socket) => socket.end('last'), 0],
    ['by reset', (socket) => socket.resetAndDestroy(), 1],
  ];
  test.for(ways)('%s: the client gets the bytes sent before, then the end', async ([, leave, counted]) => {
    const there = onHandshake(agrees);
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    leave(await there);
    expect((await client.rest()).toString()).toMatch(counted === 0 ? /last$/ : /^HTTP\/1\.1 101 /);
    client.end();
    expect(await ended()).toMatchObject({ status: 101 });
    await expect.poll(() => failures('reset')).toBe(counted);
    await noneLeft();
  });

  test.for(['client', 'upstream'] as const)('the other side (%s) never closes: it is cut', async (silent) => {
    const there = onHandshake(agrees); // it allows half-open sockets, and so does the client
    client.socket.allowHalfOpen = true;
    await client.send(handshake(SOON_IDLE));
    await client.bytes(AGREED.length);
    const sockets = { client: client.socket, upstream: await there };
    (silent === 'client' ? sockets.upstream : sockets.client).end();
    await ended(SOON_IDLE);
    expect(await inFlight()).toBe(0);
    // The other end is gone, so a write is answered with a reset.
    const isReset = (): boolean => {
      sockets[silent].write('x');
      return sockets[silent].destroyed;
    };
    await expect.poll(isReset).toBe(true);
  });
});
