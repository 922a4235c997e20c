// What `once` remembers across restarts, reloads and proxies, and for whom: memory serves one process, Redis or Valkey serves
// every proxy, and apps that share one under names of their own know nothing of each other's events.
import { describe, expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { freePort } from '../support/machine/free-port.ts';
import { bytesOf, DELIVERED, DUPLICATE, deliver, type EventUpstream, held, send } from '../support/once/events.ts';
import { inTime, KEY, keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, SERVERS } from '../support/once/redis.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { eventually } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload } from '../support/proxy/reloads.ts';
import { enough } from '../support/runner/patience.ts';

const STORES = ['memory', ...(HAS_SERVERS ? SERVERS : [])] as const;

describe.concurrent.each(STORES)('with %s', (name) => {
  const shared = name !== 'memory';

  test('a reload adds and removes `once`; after a timeout a retry goes on', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const options = { once: { store }, upstream: { responseTimeout: enough(2) } };
    const proxy = await deliverer({ ...options, route: { maxBody: '1KiB' } });
    expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DELIVERED]);
    await reload(proxy, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1maxBody: 1KiB\n$1once: 1h\n'));
    await remembering(proxy);

    events.script('silent', () => {});
    events.script('left', () => {});
    const [leaver, waiter] = [send(proxy, 'left'), send(proxy, 'silent')];
    await events.reached('left');
    leaver.leave();
    const second = send(proxy, 'left');
    expect((await waiter.given).status).toBe(504);
    expect(await deliver(proxy, 'silent')).toEqual(DELIVERED);
    expect(await second.given).toEqual(DELIVERED);

    await reload(proxy, (config) => config.replace(/ +once: 1h\n/, ''));
    expect(await deliver(proxy, 'remembered')).toEqual(DELIVERED);
  });

  test('a stop waits for its grace, no longer; a shared store outlives it', async ({ events, deliverer, redis }) => {
    const store = shared ? (await redis(name)).url : name;
    const hasty = await remembering(await deliverer({ once: { store }, shutdown: { grace: '200ms' } }));
    expect(await deliver(hasty, 'e')).toEqual(DELIVERED);
    await eventually(() => deliver(hasty, 'e'), DUPLICATE);
    events.script('cut', () => {});
    await leftUnderWay(events, hasty, 'cut');
    expect(await hasty.stop()).toEqual({ code: 0, signal: null });

    const listen = { port: await freePort() };
    const patient = await remembering(await deliverer({ once: { store }, listen, shutdown: { grace: '5m' } }));
    expect(await deliver(patient, 'cut')).toEqual(DELIVERED);
    expect(await inTime([patient], () => deliver(patient, 'e'))).toEqual(shared ? DUPLICATE : DELIVERED);
    const { act, answer } = held();
    events.script('left', act);
    await leftUnderWay(events, patient, 'left');
    patient.signal('SIGTERM');
    await patient.waitForLog(({ msg }) => msg === 'stopping');
    await expect(deliver(patient, 'other')).resolves.toMatchObject({ status: 0 }); // no new connections
    // Longer than a stop takes with nothing in flight.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(patient.logs().map(({ msg }) => msg)).not.toContain('stopped');
    answer(200);
    expect(await patient.exited).toEqual({ code: 0, signal: null });
    expect(patient.logs()).toContainEqual(expect.objectContaining({ msg: 'stopped', cut: 0 }));
    if (!shared) return;
    const next = await remembering(await deliverer({ once: { store } }));
    expect(await inTime([next], () => deliver(next, 'left'))).toEqual(DUPLICATE);
  });
});

/** Sends an event whose client leaves while the upstream is at work on it. */
async function leftUnderWay(events: EventUpstream, proxy: RunningProxy, event: string): Promise<void> {
  const sent = send(proxy, event);
  await events.reached(event);
  sent.leave();
  await inFlight(proxy, 0);
}

test.concurrent('an event counts while its sender reads the answer slowly', async ({ events, deliverer }) => {
  const proxy = await deliverer({ upstream: { connections: 1 } });
  events.script('long', (response) => void response.end(Buffer.alloc(8 * 1024 * 1024)));
  const dawdler = await openClient(proxy);
  dawdler.socket.pause();
  await dawdler.send(bytesOf('long'));
  await events.reached('long');
  expect(await deliver(proxy, 'other')).toEqual(DELIVERED);
  expect(await deliver(proxy, 'long')).toEqual(DUPLICATE);
  dawdler.destroy();
});

describe.skipIf(!HAS_SERVERS).concurrent.each(SERVERS)('shared in %s', (program) => {
  test('keys reveal nothing and expire; of twins at two proxies one is sent', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const [one, two] = await Promise.all([deliverer({ once }), deliverer({ once })]);
    await Promise.all([remembering(one), remembering(two)]);
    expect(Number(await server.ask('PTTL', (await keysOf(server))[0] ?? ''))).toBeGreaterThan(15_000);
    const { act, answer } = held();
    events.script('under-way', act);
    const sent = send(one, 'under-way');
    await events.reached('under-way');
    const keys = await keysOf(server);
    expect(keys).toEqual([expect.stringMatching(KEY), expect.stringMatching(KEY)]);
    for (const key of keys) {
      expect(await server.ask('GET', key)).toMatch(/^(?:delivered|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/);
      expect(Number(await server.ask('PTTL', key))).toBeGreaterThan(0);
    }
    expect((await one.metrics()).get('entrupy_proxy_once_entries')).toBe(1);
    answer(500);
    await sent.given;
    await eventually(async () => (await keysOf(server)).length, 1);

    const { names, pairs } = await inTime([one, two], async (nth) => {
      const names = Array.from({ length: 20 }, (_, at) => `twin ${at} of ${nth}`);
      const twins = (event: string) => Promise.all([deliver(one, event), deliver(two, event, { secret: 'b' })]);
      return { names, pairs: await Promise.all(names.map(twins)) };
    });
    for (const pair of pairs) expect(pair.sort((a, b) => a.text.localeCompare(b.text))).toEqual([DUPLICATE, DELIVERED]);
    expect(names.map((event) => events.times(event))).toEqual(names.map(() => 1));
  });
});

const WARNING = expect.objectContaining({ msg: 'configuration warning', key: 'once.store' });

describe.skipIf(!HAS_SERVERS).concurrent('two apps on one Redis', () => {
  test('each get an event that both subscribe to, where each has its name', async ({ deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const [orders, shop, nobody] = await Promise.all([
      deliverer({ once: { store: server.url, name: 'orders' } }),
      deliverer({ once: { store: server.url, name: 'shop' } }),
      deliverer({ once: { store: server.url } }),
    ]);
    for (const proxy of [orders, shop, nobody]) {
      await remembering(proxy);
      expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
      await eventually(() => deliver(proxy, 'e'), DUPLICATE);
    }
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
