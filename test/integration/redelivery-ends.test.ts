// Deliveries whose end comes from outside: a stop while they wait, a client that leaves, an answer that is not whole.
import type { ServerResponse } from 'node:http';
import { beforeAll, beforeEach, describe, expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { DUPLICATE } from '../support/once/events.ts';
import { remembering } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import {
  DEFERRED,
  deliver,
  deliveryBytes,
  nothingDeferred,
  results,
  startApp,
  test,
  untilOpen,
} from '../support/redelivery/proxy.ts';

describe.skipIf(!HAS_SERVERS)('a twin that another replica delivers', () => {
  test('is awaited no longer than grace: then the delivery is stored', async ({ app, redeliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
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
    await inFlight(two, 1);
    two.signal('SIGTERM');
    expect(await twin).toEqual(DEFERRED);
    expect((await two.exited).code).toBe(0);
    await one.stop();
    expect(await first).toEqual(DEFERRED);
    expect(app.requests).toHaveLength(before + 1);
  });
});

const answerWithoutEnd = (response: ServerResponse, ended: () => void) => {
  response.writeHead(200);
  const timer = setInterval(() => response.write('on and on'), 10);
  response.on('close', () => {
    clearInterval(timer);
    ended();
  });
};

describe('an answer counts once it is whole', () => {
  const store = ownDirectory();
  const routes = [
    { path: '/notify', redeliver: '1h' },
    { path: '/once', redeliver: '1h', once: '1h' },
  ];
  const on = shared(startApp, { routes, redelivery: { store } });
  beforeAll(() => untilOpen(store));
  beforeEach(() => {
    on.upstream.requests.length = 0;
  });
  const send = (body: string, target: string) => deliver(on.proxy, body, { target });
  /** The app's response to the next request, which it does not begin. */
  const held = () =>
    new Promise<ServerResponse>((resolve) => {
      on.upstream.answer = () => (_request, response) => resolve(response);
    });

  test.for(['before it began', 'after it began'])('an endless one ends once its client left %s', async (when) => {
    const ended = Promise.withResolvers<void>();
    const asked = held();
    const client = await sendTo(on.proxy, deliveryBytes('event'));
    const response = await asked;
    if (when === 'after it began') {
      answerWithoutEnd(response, ended.resolve);
      await client.bytes(1);
    }
    client.destroy();
    await inFlight(on.proxy, 0);
    if (when === 'before it began') answerWithoutEnd(response, ended.resolve);
    await ended.promise;
    expect(on.upstream.requests).toHaveLength(1);
  });

  test('with once a sending claims as a delivery does, and its 2xx counts', async () => {
    on.upstream.answer = () => 500;
    for (const target of ['/once?1', '/once?2']) expect(await send('event', target)).toEqual(DEFERRED);
    on.upstream.answer = () => 200;
    await nothingDeferred(on.proxy);
    expect(on.upstream.requests).toHaveLength(3);
    expect(await results(on.proxy, 'delivered', '/once')).toBe(2);
    expect(await send('event', '/once')).toEqual(DUPLICATE);
  });

  test('with once a twin that waited has its turn, and is stored', async () => {
    const asked = held();
    const twins = [send('twins', '/once'), send('twins', '/once')];
    const response = await asked;
    await inFlight(on.proxy, 2);
    on.upstream.answer = () => 'reset';
    response.socket?.resetAndDestroy();
    expect(await Promise.all(twins)).toEqual([DEFERRED, DEFERRED]);
    on.upstream.answer = () => 200;
    await nothingDeferred(on.proxy);
  });

  test('with once a long 500 to a sending does not count, and a long 2xx does', async () => {
    on.upstream.answer = () => 500;
    expect(await send('long', '/once')).toEqual(DEFERRED);
    for (const [at, status] of [500, 200].entries()) {
      on.upstream.answer = () => (_request, response) => {
        response.writeHead(status, { 'Content-Length': 4_000_000 }).end(Buffer.alloc(4_000_000));
      };
      await eventually(() => on.upstream.requests.length >= at + 2, true);
    }
    await nothingDeferred(on.proxy);
    const sent = on.upstream.requests.length;
    on.upstream.answer = () => 200;
    expect(await send('long', '/once')).toEqual(DUPLICATE);
    expect(on.upstream.requests).toHaveLength(sent);
  });

  test.for(['/notify', '/once'])("a sending to %s that breaks off waits; the sender's retry counts", async (target) => {
    const before = (await results(on.proxy, 'replaced', target)) ?? Number.NaN;
    on.upstream.answer = () => 500;
    expect(await send('broken', target)).toEqual(DEFERRED);
    on.upstream.answer = () => (_request, response) => {
      response.writeHead(200, { 'Content-Length': 100 }).write('half', () => response.socket?.destroy());
    };
    await eventually(() => on.upstream.requests.length, 2);
    on.upstream.answer = () => 200;
    expect(await send('broken', target)).toEqual({ status: 200, text: 'the app says 200' });
    await nothingDeferred(on.proxy);
    expect(await results(on.proxy, 'replaced', target)).toBe(before + 1);
    await on.proxy.waitForLog(({ fresh }) => fresh === 'taken');
  });
});
