// What the app does not take is stored, and answered with 202; everything else passes as without `redeliver`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { eventually } from '../support/proxy/proxied.ts';
import {
  DEFERRED,
  defer,
  deferred,
  deliver,
  deliveryBytes,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  test,
} from '../support/redelivery/redelivery.ts';

const requests = (decision: string, reason = 'none') =>
  `entrupy_proxy_requests_total{route="/notify",decision="${decision}",reason="${reason}"}`;

describe.concurrent('a delivery that the app does not take', () => {
  test('is answered with 202, stored, and sent again byte for byte', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer();
    const lines = ['X-Odd:  two  spaces ', 'x-odd: caf\xe9', 'Cookie: a=b', 'Connection: X-Hop', 'X-Hop: gone'];
    const body = Buffer.from([0, 1, 0xff, 0x0d, 0x0a, 0x80]);
    const target = '/notify?a=%20b&a=%62';
    app.answer = () => (app.requests.length === 1 ? 500 : 200);
    expect(await deliver(proxy, body, { target, lines })).toEqual(DEFERRED);
    await nothingDeferred(proxy);
    const [first, second] = app.requests;
    expect(second?.target).toBe(target);
    expect(second?.rawHeaders).toEqual(first?.rawHeaders);
    expect(second?.body.equals(body)).toBe(true);
    expect(app.requests).toHaveLength(2);
    expect(await recordsIn(directory)).toEqual([]);
    const metrics = await proxy.metrics();
    expect(metrics.get(requests('deferred'))).toBe(1);
    expect(metrics.get(requests('accepted'))).toBe(0);
    expect(metrics.get('entrupy_proxy_upstream_responses_total{route="/notify",code="5xx"}')).toBe(1);
    expect(metrics.get('entrupy_proxy_upstream_responses_total{route="/notify",code="2xx"}')).toBe(0);
    expect(metrics.get('entrupy_proxy_deferred_oldest_timestamp_seconds{state="waiting"}')).toBe(0);
    expect(await results(proxy, 'delivered')).toBe(1);
    const line = await proxy.waitForLog(({ decision }) => decision === 'deferred');
    expect(line).toMatchObject({ level: 'warn', status: 202, body_sha256: expect.stringMatching(/^[0-9a-f]{16}$/) });
  });

  test('with a hundred header lines is stored and sent again, with the proxy’s own', async ({ app, redeliverer }) => {
    const proxy = await redeliverer({ upstream: { forwardedHeaders: 'overwrite' } });
    // Host, signature and length stand beside these. Nobody names TE in Connection: the proxy does.
    const lines = [...Array.from({ length: 96 }, (_, at) => `X-${at}: ${at}`), 'TE: trailers'];
    app.answer = () => 500;
    expect(await deliver(proxy, 'event', { lines })).toEqual(DEFERRED);
    app.answer = () => 200;
    await nothingDeferred(proxy);
    const [first, second] = app.requests;
    expect(second?.rawHeaders).toHaveLength(2 * 106);
    expect(second?.rawHeaders).toEqual(first?.rawHeaders);
  });

  test('by a 5xx, 408, 425 or 429 is stored; any other passes, and GET', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ route: { methods: ['GET', 'POST'] } });
    for (const status of [200, 204, 302, 400, 401, 404, 409, 422]) {
      app.answer = () => status;
      const text = status === 204 ? '' : `the app says ${status}`;
      expect(await deliver(proxy, `event ${status}`), proxy.output()).toEqual({ status, text });
    }
    app.answer = () => 500;
    for (const method of ['GET', 'HEAD']) {
      const client = await sendTo(proxy, deliveryBytes('', { method }));
      expect((await client.response({ head: method === 'HEAD' })).status).toBe(500);
      client.destroy();
    }
    expect(await recordsIn(directory)).toEqual([]);
    for (const status of [500, 502, 503, 599, 408, 425, 429]) {
      app.answer = () => status;
      await defer(proxy, `event ${status}`);
    }
  });

  test('because it accepts no connection, hangs, or resets is stored', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ upstream: { responseTimeout: '200ms' } });
    app.answer = () => 'hang';
    await defer(proxy, 'hang');
    app.answer = () => 'reset';
    await defer(proxy, 'reset');
    await app.close();
    await defer(proxy, 'down');
    expect(await recordsIn(directory)).toHaveLength(3);
  });

  test('for want of a slot is stored', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ upstream: { connections: 1, responseTimeout: '5s' } });
    app.answer = (body) => (body === 'first' ? 'hang' : 200);
    const first = await sendTo(proxy, deliveryBytes('first'));
    await eventually(() => app.requests.length, 1);
    await defer(proxy, 'second');
    expect(await recordsIn(directory)).toHaveLength(1);
    first.destroy();
  });

  test('is stored although its client left while the app hung', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ upstream: { responseTimeout: '2s' } });
    app.answer = () => 'hang';
    const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(proxy)));
    for (const [at, client] of clients.entries()) await client.send(deliveryBytes(`event ${at}`));
    await eventually(() => app.requests.length, 20);
    for (const client of clients) client.destroy();
    await eventually(async () => (await recordsIn(directory)).length, 20);
    const before = app.requests.length;
    app.answer = () => 200;
    await nothingDeferred(proxy);
    expect(new Set(app.bodies().slice(before)).size).toBe(20);
  });

  test('is stored when grace cuts it, and the next process sends it', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ config: { shutdown: { delay: '0s', grace: '300ms' } } });
    app.answer = () => 'hang';
    const client = await sendTo(proxy, deliveryBytes('cut'));
    await eventually(() => app.requests.length, 1);
    proxy.signal('SIGTERM');
    expect((await client.response()).status).toBe(202);
    expect((await proxy.exited).code).toBe(0);
    expect(await recordsIn(directory)).toHaveLength(1);
    app.answer = () => 200;
    const next = await redeliverer();
    await eventually(() => app.bodies(), ['cut', 'cut']);
    await nothingDeferred(next);
  });

  test('is stored when grace cuts it although its client left', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ config: { shutdown: { delay: '0s', grace: '300ms' } } });
    app.answer = () => 'hang';
    const clients = await Promise.all(Array.from({ length: 30 }, () => openClient(proxy)));
    for (const [at, client] of clients.entries()) await client.send(deliveryBytes(`event ${at}`.padEnd(50_000)));
    await eventually(() => app.requests.length, 30);
    for (const client of clients) client.destroy();
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 0);
    proxy.signal('SIGTERM');
    expect((await proxy.exited).code).toBe(0);
    expect(await recordsIn(directory)).toHaveLength(30);
  });

  test('passes, and is counted, if the store cannot take it', async ({ app, redeliverer, directory }) => {
    await writeFile(join(directory, 'file'), '');
    const proxy = await redeliverer({ redelivery: { store: join(directory, 'file') } });
    app.answer = () => (_request, response) => response.writeHead(500, { 'X-Own': 'kept' }).end('whole');
    const client = await sendTo(proxy, deliveryBytes('event'));
    const { status, lines, body } = await client.response();
    expect([status, body.toString()]).toEqual([500, 'whole']);
    expect(lines).toContain('X-Own: kept');
    client.destroy();
    await app.close();
    expect(await deliver(proxy, 'event')).toEqual({ status: 502, text: '{"error":"bad_gateway"}' });
    const metrics = await proxy.metrics();
    expect(metrics.get('entrupy_proxy_deferred_store_failures_total')).toBeGreaterThanOrEqual(2);
    expect(metrics.get(requests('accepted'))).toBe(2);
    await proxy.waitForLog(({ msg }) => msg === 'the store of deferred deliveries fails');
  });

  test('passes in full if the store is full, however it comes', async ({ app, redeliverer }) => {
    const proxy = await redeliverer({ redelivery: { maxBytes: '4KiB' } });
    app.answer = () => 500;
    await defer(proxy, 'first');
    const large = 'x'.repeat(300_000);
    app.answer = () => (_request, response) => {
      response.writeHead(503, { Trailer: 'X-End' });
      response.write(large);
      response.addTrailers({ 'X-End': 'yes' });
      response.end();
    };
    const { status, text } = await deliver(proxy, 'second');
    expect([status, text.length]).toEqual([503, large.length]);
    app.answer = () => (_request, response) => {
      response.writeHead(500, { 'Content-Length': 10 }).write('12345');
      setImmediate(() => response.socket?.destroy());
    };
    await expect(deliver(proxy, 'third')).rejects.toThrow();
  });
});

test('what the app refuses stops, and is sent again only when asked', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  await deliver(proxy, 'event');
  app.answer = () => 404;
  await eventually(() => deferred(proxy), { waiting: 0, stopped: 1, unverified: 0 });
  expect(await results(proxy, 'client_error')).toBe(1);
  const [id = ''] = await recordsIn(directory);
  await proxy.stop();
  const next = await redeliverer();
  await eventually(() => deferred(next), { waiting: 0, stopped: 1, unverified: 0 });
  expect((await redeliver(next, 'none')).status).toBe(404);
  app.answer = () => 200;
  expect(await redeliver(next, id)).toMatchObject({ status: 200, deliveries: 1 });
  await nothingDeferred(next);
  expect(app.requests).toHaveLength(3);
});

test('a fresh one is tried first, equal ones stored once', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  for (let times = 0; times < 3; times++) await defer(proxy, 'event');
  expect(await recordsIn(directory)).toHaveLength(1);
  app.answer = () => 400;
  await eventually(() => deferred(proxy), { waiting: 0, stopped: 1, unverified: 0 });
  app.answer = () => 500;
  await defer(proxy, 'event');
  expect(await recordsIn(directory)).toHaveLength(1);
  expect(await deferred(proxy)).toEqual({ waiting: 1, stopped: 0, unverified: 0 });
  app.answer = () => 200;
  await nothingDeferred(proxy);
});

test('at most 16 of one body wait, whatever the query', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  for (let at = 0; at < 16; at++) await defer(proxy, 'one', { target: `/notify?${at}` });
  expect(await deliver(proxy, 'one', { target: '/notify?16' })).toMatchObject({ status: 500 });
  await defer(proxy, 'other', { target: '/notify?16' });
  expect(await recordsIn(directory)).toHaveLength(17);
});
