// An event is delivered once across restarts, reloads and proxies.
// What `once` remembers, and for whom: memory serves one process, Redis or Valkey serves every proxy. A stop or a
// reload neither loses a delivery nor blocks an event for all proxies. Apps that share a Redis under names of their own
// know nothing of each other's events; an upgrade keeps what is known.
import { describe, expect } from 'vitest';
import { freePort } from '../support/machine/free-port.ts';
import { DELIVERED, DUPLICATE, deliver, type Given, held, send } from '../support/once/events.ts';
import { inFlight, KEY, keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, SERVERS } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { reload } from '../support/proxy/reloads.ts';

const STORES = ['memory', ...(HAS_SERVERS ? SERVERS : [])] as const;

describe.concurrent.each(STORES)('with %s', (name) => {
  const shared = name !== 'memory';

  test('after the response timeout a retry goes through, client or none', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const proxy = await deliverer({ once: { store }, upstream: { responseTimeout: '2s' } });
    events.script('silent', () => {});
    events.script('left', () => {});
    const [leaver, waiter] = [send(proxy, 'left'), send(proxy, 'silent')];
    await events.reached('left');
    leaver.leave();
    const second = send(proxy, 'left');
    expect((await waiter.given).status).toBe(504);
    expect(await deliver(proxy, 'silent')).toEqual(DELIVERED);
    expect(await second.given).toEqual(DELIVERED);
  });

  test('a reload adds `once` to a route, and removes it', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const proxy = await deliverer({ once: { store }, route: { maxBody: '1KiB' } });
    expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DELIVERED]);
    await reload(proxy, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1maxBody: 1KiB\n$1once: 1h\n'));
    await remembering(proxy);
    expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    await reload(proxy, (config) => config.replace(/ +once: 1h\n/, ''));
    expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    expect(events.times('e')).toBe(4);
  });

  test('a restart forgets the memory store only', async ({ deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const first = await remembering(await deliverer({ once: { store } }));
    expect([await deliver(first, 'e'), await deliver(first, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    await first.stop();
    const second = await remembering(await deliverer({ once: { store } }));
    expect(await deliver(second, 'e')).toEqual(shared ? DUPLICATE : DELIVERED);
  });

  test('a stop waits for a delivery whose client has left, and it counts', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const listen = { port: await freePort() };
    const proxy = await remembering(await deliverer({ once: { store }, listen, shutdown: { grace: '10s' } }));
    const { act, answer } = held();
    events.script('e', act);
    const first = send(proxy, 'e');
    await events.reached('e');
    first.leave();
    await inFlight(proxy, 0);
    proxy.signal('SIGTERM');
    await proxy.waitForLog(({ msg }) => msg === 'stopping');
    await expect(deliver(proxy, 'other')).resolves.toMatchObject({ status: 0 }); // no new connections
    // Longer than a stop takes with nothing in flight.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(proxy.logs().map(({ msg }) => msg)).not.toContain('stopped');
    answer(200);
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(proxy.logs()).toContainEqual(expect.objectContaining({ msg: 'stopped', cut: 0 }));
    if (!shared) return;
    expect(await deliver(await remembering(await deliverer({ once: { store } })), 'e')).toEqual(DUPLICATE);
  });

  test('a stop waits no longer than its grace; then a retry goes through', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const proxy = await deliverer({ once: { store }, shutdown: { grace: '200ms' } });
    events.script('e', () => {});
    const first = send(proxy, 'e');
    await events.reached('e');
    first.leave();
    await inFlight(proxy, 0);
    expect(await proxy.stop()).toEqual({ code: 0, signal: null });
    expect(await deliver(await deliverer({ once: { store } }), 'e')).toEqual(DELIVERED);
  });
});

describe.concurrent('in memory', () => {
  test('a client that reads its response slowly loses its slot; its event counts', async ({ events, deliverer }) => {
    const proxy = await deliverer({ upstream: { connections: 1 } });
    events.script('long', (response) => void response.end(Buffer.alloc(8 * 1024 * 1024)));
    const dawdler = send(proxy, 'long', { read: false });
    await events.reached('long');
    expect(await deliver(proxy, 'other')).toEqual(DELIVERED);
    expect(await deliver(proxy, 'long')).toEqual(DUPLICATE);
    dawdler.leave();
  });

  test('the oldest are forgotten first', async ({ deliverer }) => {
    const proxy = await deliverer({ once: { maxEntries: 2 } });
    for (const event of ['1', '2', '3']) expect(await deliver(proxy, event)).toEqual(DELIVERED);
    for (const event of ['2', '3']) expect(await deliver(proxy, event)).toEqual(DUPLICATE);
    expect((await proxy.metrics()).get('entrupy_proxy_once_entries')).toBe(2);
    expect(await deliver(proxy, '1')).toEqual(DELIVERED);
  });
});

describe.skipIf(!HAS_SERVERS).concurrent.each(SERVERS)('shared in %s', (program) => {
  test('twins at two proxies at the same moment reach the upstream once', async ({ events, deliverer, redis }) => {
    const once = { store: (await redis(program)).url, name: 'orders' };
    const [one, two] = await Promise.all([deliverer({ once }), deliverer({ once })]);
    await Promise.all([remembering(one), remembering(two)]);
    const names = Array.from({ length: 20 }, (_, nth) => `twin-${nth}`);
    const pairs = await Promise.all(
      names.map((event) => Promise.all([deliver(one, event), deliver(two, event, { secret: 'b' })])),
    );
    const order = (a: Given, b: Given) => a.text.localeCompare(b.text);
    for (const pair of pairs) expect(pair.sort(order)).toEqual([DUPLICATE, DELIVERED]);
    expect(names.map((event) => events.times(event))).toEqual(names.map(() => 1));
  });

  test('keys reveal nothing of path, body or secret, and all of them expire', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const proxy = await remembering(await deliverer({ once: { store: server.url } }));
    expect(Number(await server.ask('PTTL', (await keysOf(server))[0] ?? ''))).toBeGreaterThan(15_000);
    const { act, answer } = held();
    events.script('under-way', act);
    const sent = send(proxy, 'under-way');
    await events.reached('under-way');
    const keys = await keysOf(server);
    expect(keys).toEqual([expect.stringMatching(KEY), expect.stringMatching(KEY)]);
    for (const key of keys) {
      expect(await server.ask('GET', key)).toMatch(/^(?:delivered|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/);
      expect(Number(await server.ask('PTTL', key))).toBeGreaterThan(0);
    }
    expect((await proxy.metrics()).get('entrupy_proxy_once_entries')).toBe(1);
    answer(500);
    await sent.given;
    await eventually(async () => (await keysOf(server)).length, 1);
  });
});

const WARNING = expect.objectContaining({ msg: 'configuration warning', key: 'once.store' });

describe.skipIf(!HAS_SERVERS)('two apps on one Redis', () => {
  test('each get an event that both subscribe to, where each has its name', async ({ events, deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const [orders, shop, nobody] = await Promise.all([
      deliverer({ once: { store: server.url, name: 'orders' } }),
      deliverer({ once: { store: server.url, name: 'shop' } }),
      deliverer({ once: { store: server.url } }),
    ]);
    for (const proxy of [orders, shop, nobody]) {
      await remembering(proxy);
      expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    }
    expect(events.times('e')).toBe(3);
    const keys = await keysOf(server);
    expect(new Set(keys.map((key) => key.slice(0, -43)))).toEqual(
      new Set(['entrupy-once:', 'entrupy-once:orders:', 'entrupy-once:shop:']),
    );
    // Without a name they are the keys of 0.2.0.
    expect(keys.filter((key) => KEY.test(key))).toHaveLength(2);
    expect(nobody.logs()).toContainEqual(WARNING);
    expect([...orders.logs(), ...shop.logs()]).not.toContainEqual(WARNING);
  });
});
