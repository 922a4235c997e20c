// Two proxies that share one Redis for what the app does not take: one proxy and the Redis are killed, and each delivery
// that was answered with 202 arrives.
import { expect, onTestFinished } from 'vitest';
import { HAS_SERVERS, REDIS_OR_VALKEY, startRedis } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { defer, deferred, nothingDeferred, redeliver, test } from '../support/redelivery/redelivery.ts';

const EVENTS = 40;

test.skipIf(!HAS_SERVERS)(
  'what two proxies deferred arrives from the one that is left',
  async ({ app, redeliverer, directory }) => {
    const settings = ['--appendonly', 'yes', '--appendfsync', 'always'];
    const server = await startRedis(REDIS_OR_VALKEY, { directory, settings });
    onTestFinished(() => server.kill());
    const redelivery = { store: server.url, name: 'orders' };
    const [dies, stays] = [await redeliverer({ redelivery }), await redeliverer({ redelivery })];
    app.answer = () => 500;
    const bodies = Array.from({ length: EVENTS }, (_, at) => `event ${at}`);
    for (const [at, body] of bodies.entries()) {
      const proxy = at % 2 === 0 ? dies : stays;
      await defer(proxy, body);
    }
    dies.signal('SIGKILL');
    await dies.exited;
    await server.kill();
    await stays.waitForLog(({ msg }) => msg === 'the store of deferred deliveries fails', 'a failing store');
    await server.start();
    await eventually(async () => (await deferred(stays)).waiting, EVENTS);
    const before = app.bodies().length;
    app.answer = () => 200;
    // The one that died may have held one: its lease has to end first.
    const waiting = async () => {
      await redeliver(stays);
      return (await deferred(stays)).waiting;
    };
    await expect.poll(waiting, { timeout: 120_000, interval: 500 }).toBe(0);
    await nothingDeferred(stays);
    expect(app.bodies().slice(before).sort()).toEqual(bodies.sort());
  },
);
