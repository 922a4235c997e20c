// Clients that leave before, during and after the handshake, and tunnels that break or end. The other side gets the
// bytes sent before and then the end, and nothing is sent later.
import type { Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { AGREED, handshake } from '../support/websocket/client.ts';
import { agrees, closed, polite, SOON_IDLE, test } from '../support/websocket/handshakes.ts';

/** Nothing ends by itself before the test does. */
const PATIENT = { responseTimeout: '60s', retryConnectFor: '60s' };

describe('a client that leaves', () => {
  const ways = [
    ['by FIN', (socket: Socket) => void socket.end()],
    ['by reset', (socket: Socket) => void socket.resetAndDestroy()],
  ] as const;

  test.for(ways)(
    '%s before the response: the upstream connection is closed at once',
    async ([, leave], { start, onHandshake }) => {
      const { client, ended, inFlight } = await start(PATIENT);
      const there = onHandshake(polite);
      await client.send(handshake('/live'));
      const socket = await there;
      leave(client.socket);
      await closed(socket);
      expect(await ended()).toMatchObject({ status: 499, decision: 'forwarded', reason: 'client_closed' });
      expect(await inFlight()).toBe(0);
    },
  );

  test.for(ways)(
    '%s while it waits for the upstream to return: nothing is sent later',
    async ([, leave], { start, upstream }) => {
      const { proxy, client, ended, inFlight } = await start(PATIENT);
      await upstream.stop();
      await client.send(handshake('/live'));
      await expect.poll(inFlight).toBe(1);
      leave(client.socket);
      await ended();
      await upstream.listen();
      const other = await openClient(proxy);
      upstream.script((socket) => socket.write(AGREED));
      await other.send(handshake('/live?other'));
      await other.bytes(AGREED.length);
      expect(upstream.heads.map((head) => head.split('\r\n')[0])).toEqual(['GET /live?other HTTP/1.1']);
      other.destroy();
    },
  );

  test.for(ways)(
    '%s mid-tunnel: the upstream sees it, and it is not counted as a failure',
    async ([, leave], { start, onHandshake }) => {
      const { client, ended, failures } = await start();
      const there = onHandshake(agrees);
      await client.send(handshake('/live'));
      await client.bytes(AGREED.length);
      polite(await there);
      leave(client.socket);
      await closed(await there);
      expect(await ended()).toMatchObject({ status: 101, decision: 'forwarded', reason: 'none' });
      expect(await failures('reset')).toBe(0);
    },
  );

  test('its last bytes still reach the upstream', async ({ start, onHandshake }) => {
    const { client } = await start();
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
  test.for(ways)(
    '%s: the client gets the bytes sent before, then the end',
    async ([, leave, counted], { start, onHandshake, noneLeft }) => {
      const { client, ended, failures } = await start();
      const there = onHandshake(agrees);
      await client.send(handshake('/live'));
      await client.bytes(AGREED.length);
      leave(await there);
      expect((await client.rest()).toString()).toMatch(counted === 0 ? /last$/ : /^HTTP\/1\.1 101 /);
      client.end();
      expect(await ended()).toMatchObject({ status: 101 });
      await expect.poll(() => failures('reset')).toBe(counted);
      await noneLeft();
    },
  );

  test.for(['client', 'upstream'] as const)(
    'the other side (%s) never closes: it is cut',
    async (silent, { start, onHandshake }) => {
      const { client, ended, inFlight } = await start({ route: SOON_IDLE });
      const there = onHandshake(agrees); // it allows half-open sockets, and so does the client
      client.socket.allowHalfOpen = true;
      await client.send(handshake(SOON_IDLE));
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
    },
  );
});
