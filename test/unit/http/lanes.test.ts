// Which socket a request goes out on: one for each in flight, the last one that became free first, never one of before a
// renewal; and what comes back on several at once is never mixed up.
import type { Socket } from 'node:net';
import { Client as UndiciClient } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Permit, permitForward } from '../../../src/core/permit.ts';
import { Lane } from '../../../src/http/lanes.ts';
import { type Sender, Upstream } from '../../../src/http/upstream.ts';
import { OK, type RawUpstream, startRawUpstream } from '../../support/raw-upstream.ts';
import { forward } from '../core/fixtures.ts';

const PERMIT = permitForward(forward('/live')) as Permit;

let server: RawUpstream;
let upstream: Upstream;
beforeEach(async () => {
  server = await startRawUpstream();
  const times = { connectTimeout: 1000, retryConnectFor: 0, keepAlive: 30_000 };
  upstream = new Upstream({ url: server.url, connections: 8, queue: 8, ...times, maxHeader: 16_384, tls: null });
});
afterEach(async () => {
  await upstream.close();
  await server.close();
});

const idleSender = (): Sender => ({
  lane: null,
  granted() {},
  expired() {},
  dawdles: () => 0,
  evict() {},
  onRequestStart() {},
  onResponseStart() {},
  onResponseError() {},
});

const get = async (path: string, permit = PERMIT) => Buffer.concat(await piecesOf(path, permit));

/** Sends one request; resolves with the response's body as it came, and has given its lane back by then. */
function piecesOf(path: string, permit = PERMIT): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const sender: Sender = {
      ...idleSender(),
      onResponseData: (_controller, piece) => void pieces.push(piece),
      onResponseEnd() {
        upstream.leave(sender);
        resolve(pieces);
      },
      onResponseError(_controller, error) {
        upstream.leave(sender);
        reject(error);
      },
    };
    upstream.slots.tryTake(sender);
    upstream.dispatch(permit, { path, method: 'GET', headers: ['Host', 'x'] }, sender);
  });
}

/** The upstream's sockets by the requests that they carried, in the order of the requests. */
function socketsUsed(): Socket[] {
  const used: Socket[] = [];
  server.script((socket) => {
    used.push(socket);
    socket.write(OK);
  });
  return used;
}

test('one request after the other, all on one socket', async () => {
  const used = socketsUsed();
  for (const path of ['/a', '/b', '/c']) await get(path);
  expect(new Set(used).size).toBe(1);
});

test('as many sockets as are in flight at once, and no more for those that follow', async () => {
  const used = socketsUsed();
  await Promise.all([get('/a'), get('/b'), get('/c')]);
  expect(new Set(used).size).toBe(3);
  await Promise.all([get('/d'), get('/e'), get('/f')]);
  expect(new Set(used).size).toBe(3);
});

test('after a rush one socket is enough for one at a time, so that the others grow idle', async () => {
  const used = socketsUsed();
  await Promise.all([get('/a'), get('/b'), get('/c')]);
  used.length = 0;
  for (const path of ['/d', '/e', '/f']) await get(path);
  expect(new Set(used).size).toBe(1);
});

test('after a renewal none goes out on a socket of before, and what was in flight ends on its own', async () => {
  const waiting = Promise.withResolvers<Socket>();
  server.script((socket) => waiting.resolve(socket));
  const slow = get('/slow');
  const old = await waiting.promise;
  const used = socketsUsed();
  await get('/idle'); // leaves a free lane behind
  upstream.replaceTls(null);
  await get('/new');
  old.write(OK);
  expect((await slow).toString()).toBe('ok');
  await get('/newer');
  const [idle, fresh, fresher] = used;
  expect(new Set([old, idle, fresh]).size).toBe(3);
  expect(fresher).toBe(fresh);
});

test('a lane whose request failed serves the next one', async () => {
  server.script((socket) => socket.destroy());
  await expect(get('/cut')).rejects.toThrow();
  const used = socketsUsed();
  await get('/a');
  await get('/b');
  expect(new Set(used).size).toBe(1);
});

test('who waits for a slot does not go out within the end of the response before it', async () => {
  socketsUsed();
  const all = Array.from({ length: 8 }, (_, at) => piecesOf(`/${at}`));
  const order: string[] = [];
  const waiting: Sender = { ...idleSender(), granted: () => order.push('granted'), lane: null };
  expect(upstream.slots.wait(waiting, 5000)).toBe(true);
  await Promise.race(all).then(() => order.push('the response had ended'));
  while (order.length < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(['the response had ended', 'granted']);
  upstream.leave(waiting);
  await Promise.all(all);
});

test('what came first is still itself when more has come, on one socket and on several at once', async () => {
  const bodyOf = (letter: string) => Array.from({ length: 40_000 }, (_, at) => `${letter}${at};`).join('');
  server.script((socket, { head }) => {
    const body = bodyOf(head.charAt('GET /'.length));
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  const letters = ['a', 'b', 'c', 'd'];
  const pieces = await Promise.all(letters.map((letter) => piecesOf(`/${letter}`)));
  // Not before all are there: a piece that shared its memory with a later one would hold the later one's bytes by now.
  expect(pieces.map((its) => Buffer.concat(its).toString())).toEqual(letters.map(bodyOf));
});

test('no permit, no lane', async () => {
  const lookAlike = { ...PERMIT } as Permit;
  await expect(get('/a', lookAlike)).rejects.toThrow('no permit');
  // Nor a request on a lane that somebody has in hand.
  const lane = new Lane(new UndiciClient(server.url));
  expect(() => lane.dispatch(lookAlike, { path: '/a', method: 'GET' }, {} as Sender)).toThrow('no permit');
  await lane.destroy();
  expect(server.heads).toEqual([]);
});
