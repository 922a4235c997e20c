// Whether the upstream accepts connections, asked by probes that must have their answer within a second.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Upstream } from '../../../src/upstream/upstream.ts';

let server: Server;
let upstream: Upstream;
let accepted: Socket[];
beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => accepted.push(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  upstream.close();
  for (const socket of accepted) socket.destroy();
  server.close();
});

/** An upstream that speaks TLS, which the server does not. */
function overTls(): Upstream {
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const times = { connectTimeout: 60_000, retryConnectFor: 0, keepAlive: 1000 };
  return new Upstream({ url, connections: 1, queue: 2, ...times, tls: null });
}

test('a connect that takes all of the time is not tried once more: the asker would wait for twice as long', async () => {
  upstream = overTls();
  expect(await upstream.reachability.failure(300)).toMatch(/TIMEOUT|TIMEDOUT/);
  await expect.poll(() => accepted.length).toBe(1);
});

test('a connect that fails at once is tried once more', async () => {
  upstream = overTls();
  server.on('connection', (socket: Socket) => socket.resetAndDestroy());
  expect(await upstream.reachability.failure(60_000)).toBe('ECONNRESET');
  expect(accepted.length).toBe(2);
});
