// Leases and dead connections of the store end by themselves.
// What ends without a word is found by time alone: the lease of a dead proxy after 15 s, a connection that carries
// nothing after 10 s. No split makes these tests shorter.
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, vi } from 'vitest';
import { listening } from '../support/machine/listening.ts';
import { DELIVERED, DUPLICATE, deliver, held, send } from '../support/once/events.ts';
import { BACK, logged } from '../support/once/failing-store.ts';
import { keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, type RedisServer, VALKEY_OR_REDIS } from '../support/once/redis.ts';

/** Milliseconds until the only lease in it ends: what was delivered is remembered for longer. */
async function leaseLeft(server: RedisServer): Promise<number> {
  const times = (await keysOf(server)).map(async (key) => Number(await server.ask('PTTL', key)));
  return Math.min(...(await Promise.all(times)));
}

describe.skipIf(!HAS_SERVERS).concurrent('a lease', () => {
  test('ends with its proxy, and a twin at another proxy goes ahead', async ({ events, deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const once = { store: server.url };
    const [one, two] = await Promise.all([deliverer({ once }), deliverer({ once })]);
    for (const proxy of [one, two]) await remembering(proxy);
    events.script('orphan', () => {});
    const first = send(one, 'orphan');
    await events.reached('orphan');
    one.signal('SIGKILL');
    expect((await first.given).status).toBe(0);
    const second = send(two, 'orphan');
    await vi.waitFor(async () => expect(await leaseLeft(server)).toBeLessThan(2_000), {
      timeout: 20_000,
      interval: 50,
    });
    expect(events.times('orphan')).toBe(1);
    expect(await second.given).toEqual(DELIVERED);
    expect(events.times('orphan')).toBe(2);
  });

  test('is renewed while its delivery is in flight', async ({ events, deliverer, redis }) => {
    const server = await redis(VALKEY_OR_REDIS);
    const proxy = await remembering(await deliverer({ once: { store: server.url } }));
    const { act, answer } = held();
    events.script('e', act);
    const first = send(proxy, 'e');
    await events.reached('e');
    const eventually = { timeout: 20_000, interval: 50 };
    await vi.waitFor(async () => expect(await leaseLeft(server)).toBeLessThan(11_000), eventually);
    await vi.waitFor(async () => expect(await leaseLeft(server)).toBeGreaterThan(14_000), eventually);
    answer(200);
    expect(await first.given).toEqual(DELIVERED);
  });
});

describe.skipIf(!HAS_SERVERS).concurrent('with a server that is not reachable, or not yet', () => {
  test('a server that vanishes behind an open connection is left for the next one', async ({ deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const relay = await startRelay(server.port);
    const proxy = await remembering(await deliverer({ once: { store: `redis://127.0.0.1:${relay.port}` } }));
    expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    relay.blackhole();
    await logged([proxy], BACK, async () => expect(await deliver(proxy, 'e')).toEqual(DELIVERED));
    expect(await deliver(proxy, 'e')).toEqual(DUPLICATE);
    await relay.close();
  });
});

/** A relay between a proxy and a server. After `blackhole`, open connections carry nothing and never end. */
async function startRelay(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(port, '127.0.0.1');
    for (const socket of [client, onward]) sockets.add(socket.on('error', () => {}));
    client
      .on('close', () => onward.destroy())
      .pipe(onward)
      .pipe(client);
  });
  const blackhole = () => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return { ...(await listening(server)), blackhole };
}
