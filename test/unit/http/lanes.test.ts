// Which socket a request goes out on: one for each in flight, the last one that became free first, never one of before a
// renewal; and what comes back on several at once is never mixed up.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Permit, permitForward } from '../../../src/core/permit.ts';
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

/** Sends one request; resolves with the response's body, and has given its lane back by then. */
function get(path: string, permit = PERMIT): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const sender: Sender = {
      lane: null,
      granted() {},
      expired() {},
      dawdles: () => 0,
      evict() {},
      onRequestStart() {},
      onResponseStart() {},
      onResponseData: (_controller, piece) => void pieces.push(piece),
      onResponseEnd() {
        upstream.leave(sender);
        resolve(Buffer.concat(pieces));
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

test('what several sockets bring at once is never mixed up', async () => {
  server.script((socket, { head }) => {
    const letter = head.charAt('GET /'.length);
    const body = Buffer.alloc(300_000, letter);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    for (let at = 0; at < body.length; at += 10_000) socket.write(body.subarray(at, at + 10_000));
  });
  const bodies = await Promise.all(['a', 'b', 'c', 'd'].map((letter) => get(`/${letter}`)));
  expect(bodies.map((body) => body.toString())).toEqual(['a', 'b', 'c', 'd'].map((letter) => letter.repeat(300_000)));
});

test('no permit, no lane', async () => {
  await expect(get('/a', { ...PERMIT } as Permit)).rejects.toThrow('no permit');
  expect(server.heads).toEqual([]);
});
