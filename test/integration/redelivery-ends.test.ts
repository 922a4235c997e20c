// Deliveries whose end comes from outside: a stop while they wait, or a client that leaves.

import type { ServerResponse } from 'node:http';
import { describe, expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { remembering } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, startRedis } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { DEFERRED, deliver, deliveryBytes, nothingDeferred, results, test } from '../support/redelivery/redelivery.ts';

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
    // Both stores have answered: at the start a busy machine may exceed the second that one is given.
    for (const proxy of [one, two]) await nothingDeferred(await remembering(proxy, '/notify'));
    const before = app.requests.length;
    app.answer = () => 'hang';
    const first = deliver(one, 'event');
    await eventually(() => app.requests.length, before + 1);
    const twin = deliver(two, 'event');
    await eventually(async () => (await two.metrics()).get('entrupy_proxy_requests_in_flight'), 1);
    two.signal('SIGTERM');
    expect(await twin).toEqual(DEFERRED);
    expect((await two.exited).code).toBe(0);
    await one.stop();
    expect(await first).toEqual(DEFERRED);
    expect(app.requests).toHaveLength(before + 1);
  });
});

describe('an endless 2xx is ended once its client has left', () => {
  const answerWithoutEnd = (response: ServerResponse, ended: () => void) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('on and on'), 10);
    response.on('close', () => {
      clearInterval(timer);
      ended();
    });
  };

  test.for(['before it began', 'after it began'])('a client that left %s', async (when, { app, redeliverer }) => {
    const proxy = await redeliverer();
    const asked = Promise.withResolvers<ServerResponse>();
    const ended = Promise.withResolvers<void>();
    app.answer = () => (_request, response) => {
      asked.resolve(response);
    };
    const client = await sendTo(proxy, deliveryBytes('event'));
    const response = await asked.promise;
    if (when === 'after it began') {
      answerWithoutEnd(response, ended.resolve);
      await client.bytes(1);
    }
    client.destroy();
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 0);
    if (when === 'before it began') answerWithoutEnd(response, ended.resolve);
    await ended.promise;
    expect(app.requests).toHaveLength(1);
  });
});

test('with once a long 500 to a sending does not count, and a long 2xx does', async ({ app, redeliverer }) => {
  const proxy = await redeliverer({ route: { once: '1h' } });
  app.answer = () => 500;
  expect(await deliver(proxy, 'event')).toEqual(DEFERRED);
  for (const [status, before] of [
    [500, 2],
    [200, 3],
  ] as const) {
    app.answer = () => (_request, response) => {
      response.writeHead(status, { 'Content-Length': 4_000_000 }).end(Buffer.alloc(4_000_000));
    };
    await eventually(() => app.requests.length >= before, true);
  }
  await nothingDeferred(proxy);
  const sent = app.requests.length;
  app.answer = () => 200;
  expect(await deliver(proxy, 'event')).toEqual({ status: 200, text: '{"status":"duplicate"}' });
  expect(app.requests).toHaveLength(sent);
});

test.for([{}, { once: '1h' }])(
  "a sending whose 2xx breaks off waits for its next turn, and the sender's retry is delivered, with %o",
  async (route, { app, redeliverer }) => {
    const proxy = await redeliverer({ route });
    app.answer = () => 500;
    expect(await deliver(proxy, 'event')).toEqual(DEFERRED);
    app.answer = () => (_request, response) => {
      response.writeHead(200, { 'Content-Length': 100 }).write('half', () => response.socket?.destroy());
    };
    await eventually(() => app.requests.length, 2);
    app.answer = () => 200;
    expect(await deliver(proxy, 'event')).toEqual({ status: 200, text: 'the app says 200' });
    await nothingDeferred(proxy);
    expect(await results(proxy, 'delivered')).toBe(1);
  },
);
