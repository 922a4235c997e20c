// What the app does not take is stored, and answered with 202; everything else passes as without `redeliver`.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { reload } from '../support/proxy/reloads.ts';
import {
  DEFERRED,
  defer,
  deliver,
  deliveryBytes,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  test,
  untaken,
} from '../support/redelivery/proxy.ts';
import { enough } from '../support/runner/patience.ts';

const requests = (decision: string, reason = 'none') =>
  `entrupy_proxy_requests_total{route="/notify",decision="${decision}",reason="${reason}"}`;

describe.concurrent('a delivery that the app does not take', () => {
  test('is stored, and sent again byte for byte; other answers pass', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({
      route: { methods: ['GET', 'POST'] },
      upstream: { forwardedHeaders: 'none' },
    });
    const lines = ['X-Odd:  two  spaces ', 'x-odd: caf\xe9', 'Cookie: a=b', 'Connection: X-Hop', 'X-Hop: gone'];
    const body = Buffer.from([0, 1, 0xff, 0x0d, 0x0a, 0x80]);
    const target = '/notify?a=%20b&a=%62';
    await nothingDeferred(proxy); // the store has answered: on a busy machine its first answer takes more than a second
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
    await reload(proxy, (config) => config.replace('forwardedHeaders: none', 'forwardedHeaders: overwrite'));
    // Host, signature and length stand beside these. Nobody names TE in Connection: the proxy does.
    const hundred = [...Array.from({ length: 96 }, (_, at) => `X-${at}: ${at}`), 'TE: trailers'];
    expect(await deliver(proxy, 'a hundred header lines', { lines: hundred })).toEqual(DEFERRED);
    app.answer = () => 200;
    await nothingDeferred(proxy);
    const [fresh, sent] = app.requests.slice(-2);
    expect(sent?.body.toString()).toBe('a hundred header lines');
    expect(sent?.rawHeaders).toHaveLength(2 * 106);
    expect(sent?.rawHeaders).toEqual(fresh?.rawHeaders);
    for (const status of [500, 502, 503, 599, 408, 425, 429]) {
      app.answer = () => status;
      await defer(proxy, `event ${status}`);
    }
  });

  test('because it hangs, resets or is down is stored', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer({ upstream: { connections: 20, responseTimeout: enough(5) } });
    app.answer = () => 'hang';
    const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(proxy)));
    for (const [at, client] of clients.entries()) await client.send(deliveryBytes(`event ${at}`));
    await eventually(() => app.requests.length, 20);
    await defer(proxy, 'without a slot');
    expect(app.bodies()).not.toContain('without a slot');
    const [patient, ...others] = clients;
    for (const client of others) client.destroy();
    app.answer = () => 200;
    expect((await patient?.response())?.status).toBe(202);
    await eventually(() => new Set(app.bodies().slice(20)).size, 21);
    await nothingDeferred(proxy);
    app.answer = () => 'reset';
    await defer(proxy, 'reset');
    await app.close();
    await defer(proxy, 'down');
    expect(await recordsIn(directory)).toHaveLength(2);
  });

  test('is stored long before others give up, but for retryConnectFor', async ({ app, redeliverer, directory }) => {
    await app.close();
    const config = { routes: [{ path: '/notify', redeliver: '1h' }, { path: '/plain' }] };
    const redelivery = { store: join(directory, 'patient') };
    const patient = await redeliverer({ config, redelivery, upstream: { retryConnectFor: '60s' } });
    const unset = await redeliverer({ config, upstream: { retryConnectFor: undefined } });
    const waits = deliver(patient, 'waits');
    waits.catch(() => {}); // if the test fails before it asks, that is told already
    const answers: string[] = [];
    const answered = async (target: string) => {
      const { status } = await deliver(unset, 'event', { target });
      answers.push(`${target}: ${status}`);
    };
    await Promise.all(['/plain', '/notify'].map(answered));
    expect(answers).toEqual(['/notify: 202', '/plain: 502']);
    await inFlight(patient, 1);
    await reload(patient, (text) => text.replace('retryConnectFor: 60s', 'retryConnectFor: 10ms'));
    expect(await deliver(patient, 'does not wait')).toEqual(DEFERRED);
    await inFlight(patient, 1);
    app.server.listen(app.port, '127.0.0.1');
    expect((await waits).status).toBe(200);
  });

  test.skipIf(!HAS_SERVERS)('is stored late by a slow store, and so not lost', async ({ app, redeliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const proxy = await redeliverer({ redelivery: { store: server.url, name: 'orders' } });
    await untaken(app, proxy, 'first');
    server.pause();
    expect((await deliver(proxy, 'second')).status).toBe(500);
    server.resume();
    const line = await proxy.waitForLog(({ status, fate }) => status === 500 && fate === 'deferred');
    expect(line).toMatchObject({ level: 'warn', decision: 'accepted' });
    expect(await proxy.status()).toMatchObject({ lost: { failed: 0 }, undelivered: [] });
    app.answer = () => 200;
    await eventually(() => results(proxy, 'delivered'), 2);
  });

  test('passes, and is counted, if the store cannot take it', async ({ app, redeliverer, directory }) => {
    const store = join(directory, 'file');
    await writeFile(store, '');
    const proxy = await redeliverer({ redelivery: { store, maxBytes: '4KiB' } });
    app.answer = () => (_request, response) => response.writeHead(500, { 'X-Own': 'kept' }).end('whole');
    const client = await sendTo(proxy, deliveryBytes('event'));
    const { status, lines, body } = await client.response();
    expect([status, body.toString()]).toEqual([500, 'whole']);
    expect(lines).toContain('X-Own: kept');
    client.destroy();
    app.answer = () => 'reset';
    expect(await deliver(proxy, 'event')).toEqual({ status: 502, text: '{"error":"bad_gateway"}' });
    const metrics = await proxy.metrics();
    expect(metrics.get('entrupy_proxy_deferred_store_failures_total')).toBeGreaterThanOrEqual(2);
    expect(metrics.get(requests('accepted'))).toBe(2);
    await proxy.waitForLog(({ msg }) => msg === 'the store of deferred deliveries fails');
    expect(await redeliver(proxy)).toMatchObject({ status: 503, error: 'store_failed' });
    await rm(store);
    await defer(proxy, 'fills the store');
    const large = 'x'.repeat(300_000);
    app.answer = () => (_request, response) => {
      response.writeHead(503, { Trailer: 'X-End' });
      response.write(large);
      response.addTrailers({ 'X-End': 'yes' });
      response.end();
    };
    const { status: passed, text } = await deliver(proxy, 'second');
    expect([passed, text.length]).toEqual([503, large.length]);
    const line = await proxy.waitForLog(({ status, fate }) => status === 503 && fate === 'failed');
    expect(line).toMatchObject({ upstream_status: 503 });
    const fates = 'entrupy_proxy_deliveries_total{route="/notify",fate=';
    expect((await proxy.metrics()).get(`${fates}"failed"}`)).toBe(3);
    app.answer = () => (_request, response) => {
      response.writeHead(500, { 'Content-Length': 10 }).write('12345');
      setImmediate(() => response.socket?.destroy());
    };
    await expect(deliver(proxy, 'third')).rejects.toThrow();
  });
});
