// An upstream socket ends without a reset, a slot or a second try.
// How upstream sockets end. A socket that waits for the upstream to close it holds no slot. A socket that the upstream has
// closed is not reset. A request sent on a socket that failed is never sent again.
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, openClient } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

const BODY = '{"event":1}';
const CLOSING = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';
/** Many more than there are slots. */
const MANY = 40;
/** Longer than a socket counts as just used. */
const SUSPENDED_MS = 50;

const framed = `Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
const UNVERIFIED = `POST /open HTTP/1.1\r\nHost: h\r\n${framed}`;
const SIGNED = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, BODY)}\r\n${framed}`;
const BODILESS = 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n';

const on = shared(startLenientUpstream, {
  upstream: { connections: 4, retryConnectFor: '500ms', keepAlive: '30s' },
  routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
});
/** The sockets that carried a response. */
let used: Set<Socket>;
let failures: Error[];
beforeEach(() => {
  [used, failures] = [new Set(), []];
  on.upstream.seen.length = 0;
  answerBy((socket) => void socket.write(OK));
});

/** Makes `write` answer the next requests; keeps their sockets and their errors. */
function answerBy(write: (socket: Socket, nth: number) => void): void {
  let answered = 0;
  on.upstream.answer(() => (socket) => {
    if (!used.has(socket)) socket.on('error', (error) => failures.push(error));
    used.add(socket);
    write(socket, answered++);
  });
}

const status = async (request: string) => (await exchange(on.proxy.port, request)).status;
const isOpen = (socket: Socket) => !socket.destroyed;

test('waiting for an upstream to close holds no slot, and times out', async () => {
  const statuses = new Set<number>();
  for (let sent = 0; sent < MANY; sent++) statuses.add(await status(UNVERIFIED));
  expect([...statuses]).toEqual([200]);
  expect(used.size).toBe(MANY);
  await eventually(() => [...used].filter(isOpen).length, 0);
});

test.each([
  ['with Connection: close', CLOSING, UNVERIFIED],
  ['without Connection: close', OK, UNVERIFIED],
  ['a verified request', CLOSING, SIGNED],
  ['a request without a body', CLOSING, BODILESS],
])('an upstream that closes after its response sees an end, not a reset: %s', async (_name, answer, request) => {
  answerBy((socket) => void socket.end(answer));
  const statuses = new Set<number>();
  for (let sent = 0; sent < MANY; sent++) statuses.add(await status(request));
  expect([...statuses]).toEqual([200]);
  await eventually(() => [...used].filter(isOpen).length, 0);
  expect(failures).toEqual([]);
});

test('a delivery that came while the process was suspended gets no socket that the upstream has closed meanwhile', async () => {
  const client = await openClient(on.proxy);
  for (let round = 0; round < 10; round++) {
    await client.send(SIGNED);
    expect((await client.response()).status).toBe(200);
    await untilAtRest(on.proxy);
    on.proxy.signal('SIGSTOP');
    await client.send(SIGNED);
    await sleep(SUSPENDED_MS);
    await Promise.all([...used].filter(isOpen).map((socket) => new Promise<void>((resolve) => socket.end(resolve))));
    on.proxy.signal('SIGCONT');
    expect((await client.response()).status).toBe(200);
  }
  client.destroy();
});

describe('a request on a reused socket that fails is answered and not sent again', () => {
  test.each<[string, (socket: Socket) => void]>([
    ['the upstream closes', (socket) => void socket.end()],
    ['the upstream resets', (socket) => void socket.resetAndDestroy()],
    ['the upstream sends half a head', (socket) => void socket.end('HTTP/1.1 200 O')],
  ])('when %s, it gets 502', async (_name, fail) => {
    for (const request of [SIGNED, BODILESS]) {
      [used, on.upstream.seen.length] = [new Set(), 0];
      answerBy((socket, nth) => (nth === 0 ? void socket.write(OK) : fail(socket)));
      expect([await status(request), await status(request)]).toEqual([200, 502]);
      const connections = on.upstream.seen.map(({ connection }) => connection);
      expect(connections).toEqual([connections[0], connections[0]]);
      answerBy((socket) => void socket.write(OK));
      expect(await status(request)).toBe(200);
      expect(on.upstream.seen).toHaveLength(3);
    }
  });
});
