// Deliveries whose end comes from outside: a stop while they wait, or a client that leaves.
import { describe, expect } from 'vitest';
import { HAS_SERVERS, REDIS_OR_VALKEY, startRedis } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { DEFERRED, deliver, test } from '../support/redelivery/redelivery.ts';

describe.skipIf(!HAS_SERVERS)('a twin that another replica delivers', () => {
  test('is awaited no longer than grace: then the delivery is stored', async ({ app, redeliverer, onTestFinished }) => {
    const server = await startRedis(REDIS_OR_VALKEY);
    onTestFinished(() => server.kill());
    const options = {
      route: { once: '1h' },
      config: { once: { store: server.url, name: 'one' }, shutdown: { delay: '0s', grace: '300ms' } },
      redelivery: { store: server.url, name: 'one' },
    };
    const [one, two] = await Promise.all([
      redeliverer({ ...options, upstream: { responseTimeout: '5m' } }),
      redeliverer({ ...options, upstream: { responseTimeout: '10s', idleTimeout: '1s' } }),
    ]);
    app.answer = () => 'hang';
    const first = deliver(one, 'event');
    await eventually(() => app.requests.length, 1);
    const twin = deliver(two, 'event');
    await eventually(async () => (await two.metrics()).get('entrupy_proxy_requests_in_flight'), 1);
    two.signal('SIGTERM');
    expect(await twin).toEqual(DEFERRED);
    expect((await two.exited).code).toBe(0);
    await one.stop();
    expect(await first).toEqual(DEFERRED);
    expect(app.requests).toHaveLength(1);
  });
});
