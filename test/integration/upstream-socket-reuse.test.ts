// Which requests share an upstream socket, and how sockets end. A socket reused after an unread body, half a response or
// unsolicited bytes gives a client the response to somebody else's request. One that waits for the upstream to close it holds no
// slot, one that the upstream has closed is not reset, and a request on one that failed is never sent again.
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, openClient, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery, get, post } from '../support/http/requests.ts';
import { listening } from '../support/machine/listening.ts';
import { expectSlotsFree, untilAtRest } from '../support/proxy/at-rest.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const BODY = '{"event":1}';
const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON';

const ask = (target = '/open') => get(target);
const unsigned = (target: string, lines: readonly string[] = []) => post(BODY, { target, lines });
const signed = (target = '/notify') => delivery(BODY, SECRET, { target });
const chunked = (target: string) =>
  `POST ${target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`;

const on = shared(startLenientUpstream, {
  upstream: { connections: 4, retryConnectFor: '500ms', keepAlive: '30s' },
  routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }],
  unmatched: 'forward',
});
beforeEach(() => {
  on.upstream.seen.length = 0;
  on.upstream.answer(() => OK);
});

/** Sends the requests one after another, each once the proxy is idle; returns the response bodies. */
async function askAll(requests: readonly string[], { port } = on.proxy): Promise<string[]> {
  const bodies: string[] = [];
  for (const request of requests) {
    bodies.push((await exchange(port, request, { head: request.startsWith('HEAD') })).body.toString());
    await untilAtRest(on.proxy);
  }
  return bodies;
}

const connections = () => on.upstream.seen.map(({ connection }) => connection);
const lastLines = () => on.upstream.seen.map(({ lines }) => lines.at(-1));

describe('a socket is reused', () => {
  test('by requests without a body, and another one by verified requests, in any order', async () => {
    const bodiless = [ask(), ask('/elsewhere'), ask('/report'), 'DELETE /open HTTP/1.1\r\nHost: h\r\n\r\n'];
    await askAll([signed(), ...bodiless, signed(), signed('/report'), ask(), signed()]);
    const [verified, unverified] = connections();
    expect(unverified).not.toBe(verified);
    const [v, u] = [verified, unverified];
    expect(connections()).toEqual([v, u, u, u, u, v, v, u, v]);
    expect(lastLines()).not.toContain('Connection: close');
  });

  test('by deliveries after a 204 or 304: their sender is trusted', async () => {
    on.upstream.answer(() => 'HTTP/1.1 204 No Content\r\n\r\n');
    await askAll([signed(), signed()]);
    on.upstream.answer(() => 'HTTP/1.1 304 Not Modified\r\n\r\n');
    await askAll([signed(), signed()]);
    expect(new Set(connections()).size).toBe(1);
  });
});

describe('a socket is not reused', () => {
  test.each([
    ['a forwarded body with a length', unsigned('/open')],
    ['a forwarded body in chunks', chunked('/open')],
    ['a body that only unmatched lets through', unsigned('/elsewhere')],
    ['a reported body without a signature', unsigned('/report')],
    ['a reported body with a wrong signature', unsigned('/report', [`Entrupy-Signature: ${sign('other', BODY)}`])],
    ['a reported body in chunks', chunked('/report')],
    ['a reported body by another method', unsigned('/report').replace('POST', 'PUT')],
    ['a GET with a body', unsigned('/open').replace('POST', 'GET')],
  ])('after %s', async (_name, request) => {
    await askAll([ask(), request, ask(), signed(), request, signed()]);
    const used = connections();
    expect(used.slice(2)).not.toContain(used[1]);
    expect(used.slice(5)).not.toContain(used[4]);
    expect(lastLines().map((line) => line === 'Connection: close')).toEqual([false, true, false, false, true, false]);
  });

  test('with keepAlive: 0, whatever it was used for', async ({ start }) => {
    const routes = [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }];
    const closing = await start({ upstream: { url: on.upstream.url, keepAlive: '0s' }, routes });
    const bodies = [unsigned('/open'), chunked('/report'), signed('/report')];
    const requests = [ask(), signed(), signed(), ask(), ...bodies, ask()];
    await askAll(requests, closing);
    expect(new Set(connections()).size).toBe(requests.length);
    expect(lastLines()).toEqual(requests.map(() => 'Connection: close'));
  });

  test.each([
    ['the upstream says close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'],
    [
      'the upstream says close among other options',
      'HTTP/1.1 200 OK\r\nConnection: a, CLOSE\r\nContent-Length: 2\r\n\r\nok',
    ],
    ['the upstream speaks HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a byte follows the response', `${OK}x`],
    ['a response follows the response', OK + POISON],
    ['a 204 has a body', `HTTP/1.1 204 No Content\r\n\r\n${POISON}`],
  ])('when %s', async (_name, answer) => {
    const used = answerAndKeep(answer);
    await askAll([ask()]);
    await eventually(() => used.socket?.destroyed, true);
    on.upstream.answer(() => OK);
    expect(await askAll([ask(), signed()])).toEqual(['ok', 'ok']);
    expect(connections().slice(1)).not.toContain(connections()[0]);
  });

  const head = 'HEAD /open HTTP/1.1\r\nHost: h\r\n\r\n';
  test.each([
    ['HEAD', head, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'],
    ['204', ask(), 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304', ask(), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n'],
    ['204 to a reported request', ask('/report'), 'HTTP/1.1 204 No Content\r\n\r\n'],
  ])('after %s that nobody verified, since servers write a body late', async (_name, request, answer) => {
    const used = answerAndKeep(answer);
    await askAll([request]);
    // The body comes when the next requests could already have been sent on the socket.
    on.upstream.answer(() => OK);
    expect(await askAll([ask(), signed()])).toEqual(['ok', 'ok']);
    used.socket?.write(POISON);
    expect(await askAll([ask(), signed()])).toEqual(['ok', 'ok']);
    await eventually(() => used.socket?.destroyed, true);
    expect(connections().slice(1)).not.toContain(connections()[0]);
  });

  test('when the client leaves before the response is complete', async () => {
    const used = answerAndKeep('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    const client = await sendTo(on.proxy, ask());
    await client.bytes(1);
    client.destroy();
    await eventually(() => used.socket?.destroyed, true);
    on.upstream.answer(() => OK);
    expect(await askAll([signed()])).toEqual(['ok']);
    expect(connections()[1]).not.toBe(connections()[0]);
  });
});

/** Answers the next requests with these bytes; returns the socket that the last one came on. */
function answerAndKeep(answer: string): { readonly socket?: Socket } {
  const used: { socket?: Socket } = {};
  on.upstream.answer(() => (socket) => {
    used.socket = socket;
    socket.write(answer);
  });
  return used;
}

describe('both kinds of sockets', () => {
  test('stay within upstream.connections together; an idle one makes place for a delivery', async ({ start }) => {
    const open = new Set<Socket>();
    let most = 0;
    on.upstream.answer(() => (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      most = Math.max(most, open.size);
      socket.write(OK);
    });
    const one = await start({
      upstream: { url: on.upstream.url, keepAlive: '10m', connections: 1 },
      routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
    });
    for (const request of [ask(), signed(), ask(), ask(), signed(), signed(), ask()]) {
      expect((await exchange(one.port, request)).status).toBe(200);
      await untilAtRest(one);
      await expect.poll(() => open.size).toBe(1);
    }
    expect(most).toBeLessThanOrEqual(2); // the end of the one may be seen after the beginning of the other
  });

  test('never keep a delivery from a server that takes one connection at a time', async ({ start, onTestFinished }) => {
    const waiting: Socket[] = [];
    const serve = () => {
      const [socket] = waiting;
      socket?.on('data', () => socket.write(OK));
      socket?.once('close', () => {
        waiting.shift();
        serve();
      });
    };
    const single = createServer((socket) => {
      socket.on('error', () => {});
      waiting.push(socket);
      if (waiting.length === 1) serve();
    });
    const { port, close } = await listening(single);
    const url = `http://127.0.0.1:${port}`;
    onTestFinished(close);
    const routes = [{ path: '/notify' }, { path: '/open', action: 'forward' }];
    const before = await start({ upstream: { url, keepAlive: '10m' }, routes });
    expect((await exchange(before.port, ask())).status).toBe(200);
    await untilAtRest(before);
    expect((await exchange(before.port, signed())).status).toBe(200);
  });
});

describe('a slow upstream', () => {
  /** Unverified requests get three quarters of four. Of other numbers: test/unit/upstream/limiter.test.ts. */
  const SHARE = 3;
  const askMany = (bytes: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => sendTo(on.proxy, bytes)));
  const statuses = (asked: readonly RawClient[]) =>
    Promise.all(asked.map(async (client) => (await client.response()).status));

  test.each([
    ['without a body', ask()],
    ['with a body', unsigned('/open')],
    ['that are reported', unsigned('/report')],
  ])('leaves verified requests slots that unverified ones %s cannot take', async (_what, bytes) => {
    const held: Socket[] = [];
    on.upstream.answer(({ target }) => (target === '/notify' ? OK : (socket) => void held.push(socket)));
    const slow = await askMany(bytes, SHARE);
    await expect.poll(() => held.length).toBe(SHARE);
    const waiting = await askMany(bytes, 3);
    for (let round = 0; round < 5; round++) expect(await status(signed())).toBe(200);
    expect(await statuses(waiting)).toEqual([503, 503, 503]); // none is dropped because the upstream is slow
    expect(on.upstream.seen.filter(({ target }) => target !== '/notify')).toHaveLength(SHARE);
    for (const socket of held) socket.write(OK);
    expect(await statuses(slow)).toEqual(slow.map(() => 200));
    await untilAtRest(on.proxy);
    on.upstream.answer(() => OK);
    await expectSlotsFree(on.proxy, { slots: SHARE, target: '/open' });
  });
});

describe('unsolicited bytes end an idle socket and answer no request', () => {
  test.each([
    ['a byte', 'x'],
    ['a line ending', '\r\n'],
    ['an answer', POISON],
    ['half a response', POISON.slice(0, 20)],
    ['a 408', 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
    ['an interim response', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s', async (_name, bytes) => {
    const idle = answerAndKeep(OK);
    await askAll([signed()]);
    idle.socket?.write(bytes);
    await eventually(() => idle.socket?.destroyed, true);
    on.upstream.answer(() => OK);
    expect(await askAll([signed(), ask()])).toEqual(['ok', 'ok']);
    expect(connections()[1]).not.toBe(connections()[0]);
  });
});

const CLOSING = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';
/** Many more than there are slots. */
const MANY = 12;
/** Longer than a socket counts as just used. */
const SUSPENDED_MS = 50;

/** Makes `write` answer the next requests; returns the sockets that carried a response, and their errors. */
function answerBy(write: (socket: Socket, nth: number) => void) {
  const used = new Set<Socket>();
  const failures: Error[] = [];
  let answered = 0;
  on.upstream.answer(() => (socket) => {
    if (!used.has(socket)) socket.on('error', (error) => failures.push(error));
    used.add(socket);
    write(socket, answered++);
  });
  return { used, failures };
}

const status = async (request: string) => (await exchange(on.proxy.port, request)).status;
const isOpen = (socket: Socket) => !socket.destroyed;

describe('a socket that ends', () => {
  test.each([
    ['the proxy, which then waits for the upstream, holds no slot', OK, unsigned('/open')],
    ['the upstream with Connection: close', CLOSING, unsigned('/open')],
    ['the upstream without Connection: close', OK, unsigned('/open')],
    ['the upstream after a verified request', CLOSING, signed()],
    ['the upstream after a request without a body', CLOSING, ask()],
  ])('by %s: no reset, and all are answered', async (who, answer, request) => {
    const { used, failures } = answerBy((socket) =>
      who.startsWith('the proxy') ? void socket.write(answer) : void socket.end(answer),
    );
    const statuses = new Set<number>();
    for (let sent = 0; sent < MANY; sent++) statuses.add(await status(request));
    expect([...statuses]).toEqual([200]);
    expect(used.size).toBe(MANY);
    await eventually(() => [...used].filter(isOpen).length, 0);
    expect(failures).toEqual([]);
  });

  test('while the process was suspended gets no delivery', async () => {
    const { used } = answerBy((socket) => void socket.write(OK));
    const client = await openClient(on.proxy);
    for (let round = 0; round < 3; round++) {
      await client.send(signed());
      expect((await client.response()).status).toBe(200);
      await untilAtRest(on.proxy);
      on.proxy.signal('SIGSTOP');
      await client.send(signed());
      await sleep(SUSPENDED_MS);
      await Promise.all([...used].filter(isOpen).map((socket) => new Promise<void>((resolve) => socket.end(resolve))));
      on.proxy.signal('SIGCONT');
      expect((await client.response()).status).toBe(200);
    }
  });

  test.each<[string, (socket: Socket) => void]>([
    ['the upstream closes', (socket) => void socket.end()],
    ['the upstream resets', (socket) => void socket.resetAndDestroy()],
    ['the upstream sends half a head', (socket) => void socket.end('HTTP/1.1 200 O')],
  ])('with a request on it, when %s: 502, and it is not sent again', async (_name, fail) => {
    for (const request of [signed(), ask()]) {
      on.upstream.seen.length = 0;
      answerBy((socket, nth) => (nth === 0 ? void socket.write(OK) : fail(socket)));
      expect([await status(request), await status(request)]).toEqual([200, 502]);
      expect(connections()).toEqual([connections()[0], connections()[0]]);
      on.upstream.answer(() => OK);
      expect(await status(request)).toBe(200);
      expect(on.upstream.seen).toHaveLength(3);
    }
  });
});
