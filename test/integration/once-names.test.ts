// Apps that share a Redis under names of their own know nothing of each other's events; an upgrade keeps what is known.
import { describe, expect } from 'vitest';
import { DELIVERED, DUPLICATE, deliver } from '../support/once/events.ts';
import { KEY, keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';

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
