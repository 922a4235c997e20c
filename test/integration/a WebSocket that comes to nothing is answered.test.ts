// Handshakes that fail, and tunnels that break. Each ends in a response or a cut, never in a hang or a leaked socket.
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { untilAtRest } from '../support/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient, type RawClient } from '../support/raw-client.ts';
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts';
import { values } from '../support/response-parser.ts';
import { AGREED, handshake } from '../support/web-socket.ts';

let upstream: RawUpstream;
/** The proxy of most tests: a start takes longer than all else in them. */
let shared: RunningProxy;
let proxy: RunningProxy;
let client: RawClient;
/** Log lines and failures of earlier tests. */
let earlier: { readonly lines: number; readonly metrics: ReadonlyMap<string, number> };

const startOwn = (settings: object = {}) =>
  startProxy({
    config: {
      upstream: {
        url: upstream.url,
        responseTimeout: '500ms',
        idleTimeout: '500ms',
        retryConnectFor: '1s',
        ...settings,
      },
      routes: [{ path: '/live', action: 'forward', upgrade: ['websocket'] }],
      log: { requests: 'all' },
    },
    secrets: { current: 'web-socket-secret-0123456789abcdef' },
  });

async function start(settings?: object): Promise<void> {
  proxy = settings === undefined ? shared : await startOwn(settings);
  earlier = { lines: proxy.logs().length, metrics: await proxy.metrics() };
  client = await openClient({ port: proxy.port });
}

beforeAll(async () => {
  upstream = await startRawUpstream();
  shared = await startOwn();
});
afterEach(async () => {
  client?.destroy();
  if (proxy !== shared) await proxy?.stop();
  await upstream.stop();
  await upstream.listen();
  upstream.heads.length = 0;
  await untilAtRest(shared);
});
afterAll(async () => {
  await shared?.stop();
  await upstream?.close();
});

/** Makes the upstream act on the handshake; resolves with its socket once the handshake has arrived. */
function onHandshake(act: (socket: Socket) => void): Promise<Socket> {
  return new Promise((resolve) => {
    upstream.script((socket) => {
      act(socket);
      resolve(socket);
    });
  });
}

/** An upstream that closes once its client has. */
const polite = (socket: Socket) => void socket.once('end', () => socket.end());
const agrees = (socket: Socket) => void socket.write(AGREED);
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

const ended = async () => {
  const logged = () =>
    proxy
      .logs()
      .slice(earlier.lines)
      .find(({ path }) => path === '/live');
  await proxy.waitForLog(() => logged() !== undefined, 'the request log');
  return logged();
};
async function failures(cause: string): Promise<number> {
  const series = `entrupy_proxy_upstream_failures_total{route="/live",cause="${cause}"}`;
  return ((await proxy.metrics()).get(series) ?? Number.NaN) - (earlier.metrics.get(series) ?? 0);
}
const noneLeft = () => expect.poll(() => upstream.sockets.size).toBe(0);

async function inFlight(): Promise<number | undefined> {
  return (await proxy.metrics()).get('entrupy_proxy_requests_in_flight');
}

describe('a handshake that the upstream refuses', () => {
  test('its status, headers and body reach the client, and the connection ends', async () => {
    await start();
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

  test.each([
    ['chunked, with trailers', 'Transfer-Encoding: chunked', '4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n', 'body'],
    ['until the end of the connection', 'X-None: 1', 'body', 'body'],
    ['empty', 'Content-Length: 0', '', ''],
  ])('a body %s', async (_how, line, bytes, body) => {
    await start();
    onHandshake((socket) => socket.end(`HTTP/1.1 404 Not Found\r\n${line}\r\n\r\n${bytes}`));
    await client.send(handshake('/live'));
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([404, body]);
    expect(response.trailers).toEqual(bytes.includes('X-Sum') ? ['X-Sum: 1'] : []);
  });

  test('early hints before the refusal go through', async () => {
    await start();
    onHandshake((socket) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    });
    await client.send(handshake('/live'));
    const response = await client.response();
    expect(response.informational.map(({ status }) => status)).toEqual([103]);
    expect(response.status).toBe(403);
  });

  test('a truncated body is cut, never ended as if complete', async () => {
    await start();
    onHandshake((socket) => socket.end('HTTP/1.1 401 Nope\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n'));
    await client.send(handshake('/live'));
    expect((await client.rest()).toString()).toMatch(/body\r\n$/);
    await expect.poll(() => failures('reset')).toBe(1);
  });

  test('a stalled body is cut', async () => {
    await start();
    onHandshake((socket) => {
      polite(socket);
      socket.write('HTTP/1.1 401 Nope\r\nContent-Length: 9\r\n\r\nforb');
    });
    await client.send(handshake('/live'));
    expect((await client.rest()).toString()).toMatch(/forb$/);
    await noneLeft();
  });

  test('a large body for a client that does not read gets backpressure, then a cut', async () => {
    await start();
    const total = 256 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024);
    let sent = 0;
    const upstreamSocket = onHandshake((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      const more = (): void => {
        while (sent < total && !socket.destroyed) {
          sent += piece.length;
          if (!socket.write(piece)) return void socket.once('drain', more);
        }
      };
      more();
    });
    client.socket.pause();
    const before = await proxy.memory();
    await client.send(handshake('/live'));
    await closed(await upstreamSocket);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect((await proxy.memory()).peak - before.rss).toBeLessThan(48 * 1024 * 1024);
    await expect.poll(() => failures('timeout')).toBe(1);
  });
});

describe('a handshake that the upstream does not answer', () => {
  test('within the timeout: 504', async () => {
    await start();
    onHandshake(polite);
    await client.send(handshake('/live'));
    expect(await client.response()).toMatchObject({ status: 504, body: Buffer.from('{"error":"gateway_timeout"}') });
    await expect.poll(() => failures('timeout')).toBe(1);
    await noneLeft();
  });

  test.each([
    ['but closes', (socket: Socket) => socket.end(), 'reset'],
    ['but resets', (socket: Socket) => socket.resetAndDestroy(), 'reset'],
    ['with half a head', (socket: Socket) => socket.end('HTTP/1.1 101 Switch'), 'reset'],
    ['with garbage', (socket: Socket) => socket.write('no http\r\n\r\n'), 'protocol'],
    ['with endless hints', (socket: Socket) => socket.write('HTTP/1.1 103 Hm\r\n\r\n'.repeat(1000)), 'protocol'],
    ['with a 101 that upgrades nothing', (socket: Socket) => socket.write('HTTP/1.1 101 Hm\r\n\r\n'), 'protocol'],
  ])('%s: 502', async (_what, act, cause) => {
    await start();
    onHandshake((socket) => {
      polite(socket);
      act(socket);
    });
    await client.send(handshake('/live'));
    expect(await client.response()).toMatchObject({ status: 502, body: Buffer.from('{"error":"bad_gateway"}') });
    await expect.poll(() => failures(cause)).toBe(1);
    await noneLeft();
  });

  test('because it accepts no connection: retried for retryConnectFor, then 502', async () => {
    await start();
    await upstream.stop();
    await client.send(handshake('/live'));
    expect((await client.response()).status).toBe(502);
    await expect.poll(() => failures('connect')).toBe(1);
  });

  test('because it is restarting: the tunnel opens once it is back', async () => {
    await start({ retryConnectFor: '10s' });
    await upstream.stop();
    await client.send(handshake('/live'));
    await expect.poll(inFlight).toBe(1);
    upstream.script((socket) => socket.write(AGREED));
    await upstream.listen();
    expect((await client.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
    expect(upstream.heads).toHaveLength(1);
  });

  test('because every slot is taken: 503 after the wait, and no slot leaks', async () => {
    await start({ connections: 1, retryConnectFor: '300ms', responseTimeout: '5s' });
    const agree = onHandshake(() => {});
    await client.send(handshake('/live'));
    const first = await agree;
    const second = await openClient({ port: proxy.port });
    await second.send(handshake('/live'));
    const refused = await second.response();
    expect([refused.status, refused.body.toString(), values(refused.lines, 'retry-after')]).toEqual([
      503,
      '{"error":"overloaded"}',
      ['1'],
    ]);
    // An open tunnel holds no slot.
    first.write(AGREED);
    await client.bytes(AGREED.length);
    upstream.script((socket) => socket.write(AGREED));
    const third = await openClient({ port: proxy.port });
    await third.send(handshake('/live'));
    expect((await third.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
    for (const one of [second, third]) one.destroy();
  });
});

describe('a client that leaves', () => {
  const ways = [
    ['by FIN', (socket: Socket) => void socket.end()],
    ['by reset', (socket: Socket) => void socket.resetAndDestroy()],
  ] as const;

  test.each(ways)('%s before the response: the upstream connection is closed at once', async (_how, leave) => {
    await start({ responseTimeout: '60s' });
    const there = onHandshake(polite);
    await client.send(handshake('/live'));
    const socket = await there;
    leave(client.socket);
    await closed(socket);
    expect(await ended()).toMatchObject({ status: 499, decision: 'forwarded', reason: 'client_closed' });
    expect(await inFlight()).toBe(0);
  });

  test.each(ways)('%s while it waits for the upstream to return: nothing is sent later', async (_how, leave) => {
    await start({ retryConnectFor: '60s' });
    await upstream.stop();
    await client.send(handshake('/live'));
    await expect.poll(inFlight).toBe(1);
    leave(client.socket);
    await ended();
    await upstream.listen();
    const other = await openClient({ port: proxy.port });
    upstream.script((socket) => socket.write(AGREED));
    await other.send(handshake('/live?other'));
    await other.bytes(AGREED.length);
    expect(upstream.heads.map((head) => head.split('\r\n')[0])).toEqual(['GET /live?other HTTP/1.1']);
    other.destroy();
  });

  test.each(ways)('%s mid-tunnel: the upstream sees it, and it is not counted as a failure', async (_how, leave) => {
    await start();
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
    await start();
    const got: Buffer[] = [];
    const there = onHandshake((socket) => {
      socket.removeAllListeners('data').on('data', (piece: Buffer) => got.push(piece));
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

describe('an upstream that leaves mid-tunnel', () => {
  const ways: [string, (socket: Socket) => void, number][] = [
    ['by FIN', (socket) => socket.end('last'), 0],
    ['by reset', (socket) => socket.resetAndDestroy(), 1],
  ];
  test.each(ways)('%s: the client gets the bytes sent before, then the end', async (_how, leave, counted) => {
    await start();
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

  test.each(['client', 'upstream'] as const)('the other side (%s) never closes: it is cut', async (silent) => {
    await start();
    const there = onHandshake(agrees); // it allows half-open sockets, and so does the client
    client.socket.allowHalfOpen = true;
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    const sockets = { client: client.socket, upstream: await there };
    (silent === 'client' ? sockets.upstream : sockets.client).end();
    await ended();
    expect(await inFlight()).toBe(0);
    // The other end is gone, so a write is answered with a reset.
    const isReset = (): boolean => {
      sockets[silent].write('x');
      return sockets[silent].destroyed;
    };
    await expect.poll(isReset).toBe(true);
  });
});
