// An upstream that is not there yet, restarts or is busy. A request of which no byte was sent waits within bounds, and arrives
// once or never. The status page tells whether a delivery would find the upstream: the connect includes the TLS handshake.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, type TestContext } from 'vitest';
import type { ApiStatus } from '../../src/health/health.ts';
import { deliver } from '../support/deliveries/deliver.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery as signed } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { listening } from '../support/machine/listening.ts';
import { inFlight, untilAtRest } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

/** Settings of `upstream` with which nothing ends before the test does. */
const patient = (settings: object = {}) => ({ upstream: { keepAlive: '30s', retryConnectFor: '30s', ...settings } });
/** A delivery with its own number. */
const delivery = (id: number) => signed(`{"id":${id}}`, value('a'), { lines: [`X-Id: ${id}`] });
const idsOf = ({ seen }: LenientUpstream) =>
  seen.map(({ lines }) => Number(values(lines, 'x-id')[0])).toSorted((a, b) => a - b);
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

const FAILED = 'entrupy_proxy_upstream_failures_total{route="/notify",cause="connect"}';

test.concurrent('a port that refuses, then listens: each request arrives once', async ({ upstream, proxyTo }) => {
  const proxy = await proxyTo(upstream, patient({ connections: 3 }));
  const listen = () => once(upstream.server.listen(upstream.port, '127.0.0.1'), 'listening');
  const ids = () => upstream.requests.map(({ headers }) => Number(headers['x-id'])).sort((a, b) => a - b);
  await upstream.close();
  const clients = await Promise.all(numbers(30).map((id) => sendTo(proxy, delivery(id))));
  await inFlight(proxy, 30);
  await listen();
  const responses = await Promise.all(clients.map((client) => client.response()));
  expect(responses.map(({ status }) => status)).toEqual(Array(30).fill(200));
  expect(ids()).toEqual(numbers(30));
  await untilAtRest(proxy);
  expect((await proxy.metrics()).get(FAILED)).toBe(0);

  // A streamed body waits with its request, and arrives complete.
  await upstream.close();
  const chunked = 'POST /open/0 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n';
  const streaming = await sendTo(proxy, chunked);
  await inFlight(proxy, 1);
  await listen();
  await streaming.send('6\r\nsecond\r\n0\r\n\r\n');
  expect((await streaming.response()).status).toBe(200);
  expect(upstream.requests.at(-1)?.body.toString()).toBe('firstsecond');

  // What a client leaves during the wait is not sent later, and holds nothing.
  await upstream.close();
  upstream.requests.length = 0;
  const leaving = await Promise.all(numbers(10).map((id) => sendTo(proxy, delivery(id))));
  await inFlight(proxy, 10);
  for (const client of leaving.slice(1)) client.destroy();
  await inFlight(proxy, 1);
  await listen();
  expect((await leaving[0]?.response())?.status).toBe(200);
  expect(ids()).toEqual([0]);
  await untilAtRest(proxy);
});

test.concurrent('a scrape alone sees that the app is down, and that it is back', async ({ upstream, proxyTo }) => {
  const proxy = await proxyTo(upstream);
  const isDown = async () =>
    (await proxy.metrics()).has('entrupy_proxy_diagnosis{diagnosis="app-down",state="failed",route=""}');
  const client = await sendTo(proxy, delivery(1));
  expect((await client.response()).status).toBe(200);
  await upstream.close();
  await eventually(isDown, true);
  await once(upstream.server.listen(upstream.port, '127.0.0.1'), 'listening');
  await eventually(isDown, false);
});

test.concurrent('a unix socket: missing, appearing, coming back', async ({ directory, onTestFinished, proxyTo }) => {
  const path = join(directory, 'app.sock');
  const config = { ...patient({ retryConnectFor: '300ms' }), admin: { readyNeedsUpstream: true } };
  const proxy = await proxyTo({ url: `unix://${path}` }, config);
  const ready = async () => (await fetch(`${proxy.adminUrl}/readyz`)).status;
  expect(await ready()).toBe(503);
  // The page says the same.
  expect(await proxy.status()).toMatchObject({ ready: false, causes: [expect.stringContaining('(ENOENT)')] });
  await expectBadGateway(proxy);
  await reload(proxy, (config) => config.replace('retryConnectFor: 300ms', 'retryConnectFor: 30s'));
  const client = await sendTo(proxy, delivery(1));
  await inFlight(proxy, 1);
  const upstream = await startLenientUpstream({ path });
  onTestFinished(upstream.close);
  expect((await client.response()).status).toBe(200);
  expect(await ready()).toBe(200);
  await upstream.stop();
  await client.send(delivery(2));
  await inFlight(proxy, 1);
  await upstream.listen();
  expect((await client.response()).status).toBe(200);
  expect(idsOf(upstream)).toEqual([1, 2]);
  for (const { lines } of upstream.seen) expect(lines).toContain('Host: a'); // the client's
});

test.concurrent('a name without an address for longer than retryConnectFor: 502', async ({ proxyTo }) => {
  await expectBadGateway(await proxyTo({ url: 'http://upstream.invalid:80' }, patient({ retryConnectFor: '300ms' })));
});

test.concurrent('a port that refuses for longer: 502, and no request behind it', async ({ proxyTo }) => {
  const settings = patient({ connections: 1, retryConnectFor: '300ms' });
  const proxy = await proxyTo({ url: 'http://127.0.0.1:1' }, settings);
  const client = await expectBadGateway(proxy, numbers(9).map(delivery).join(''));
  expect((await client.rest()).length).toBe(0);
  const counted = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_requests_total{'));
  expect(counted.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
});

/** The first request on a connection gets 502, which is counted. */
async function expectBadGateway(proxy: RunningProxy, behind = ''): Promise<RawClient> {
  const client = await sendTo(proxy, delivery(1) + behind);
  const { status, body, lines } = await client.response();
  expect([status, body.toString()]).toEqual([502, '{"error":"bad_gateway"}']);
  expect(lines).toContain('Connection: close');
  await untilAtRest(proxy);
  expect((await proxy.metrics()).get(FAILED)).toBe(1);
  return client;
}

const authority = createAuthority(ownDirectory(), 'authority');
const pair = authority.issue('app', { names: ['IP:127.0.0.1'] });

type OnFinished = TestContext['onTestFinished'];

async function portOf(server: Server, onTestFinished: OnFinished) {
  const { port, close } = await listening(server);
  onTestFinished(close);
  return port;
}

function tlsApp() {
  return createServer({ cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }, (_, response) => {
    response.end();
  });
}

describe.concurrent('the state of the upstream', () => {
  // Polled: a connect that a slow machine cannot finish within a second counts as failed, too.
  const seen = (proxy: RunningProxy, wanted: Pick<ApiStatus['upstream'], 'reachable' | 'error'>) =>
    eventually(async () => {
      const { reachable, error } = (await proxy.status()).upstream;
      return { reachable, error };
    }, wanted);

  test('with a certificate we distrust it is unreachable; caFile is named', async ({ start, onTestFinished }) => {
    const url = `https://127.0.0.1:${await portOf(tlsApp(), onTestFinished)}`;
    const proxy = await start({ upstream: { url } });
    const line = await proxy.waitForLog(({ msg }) => msg === 'the upstream accepts no connections');
    expect(line.upstream_error).toMatch(/^(?:UNABLE_TO_VERIFY_LEAF_SIGNATURE|CONNECT_TIMEOUT)$/);
    await seen(proxy, { reachable: false, error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    await eventually(async () => (await proxy.status()).advice[0]?.remedy.includes('upstream.tls.caFile'), true);
    await change(proxy, ({ upstream }) => ({ upstream: { ...upstream, tls: { caFile: authority.caFile } } }));
    await seen(proxy, { reachable: true, error: null });
    await eventually(async () => (await proxy.status()).advice[0]?.state, 'ok');
  });

  test('plain HTTP to a TLS port: the cause says what came back', async ({ start, onTestFinished }) => {
    const app = tlsApp();
    await portOf(app, onTestFinished);
    // Servers on OpenSSL, Node's among them, close the connection; others send an alert.
    const closes = (socket: Socket) => void app.emit('connection', socket);
    const alerts = (socket: Socket) =>
      void socket.on('error', () => {}).once('data', () => socket.end('\x15\x03\x01\x00\x02\x02\x46', 'latin1'));
    let server = closes;
    const front = createNetServer((socket) => server(socket));
    const proxy = await start({ upstream: { url: `http://127.0.0.1:${await portOf(front, onTestFinished)}` } });
    for (const [says, failure] of [
      [closes, 'reset'],
      [alerts, 'protocol'],
    ] as const) {
      server = says;
      expect(await deliver(proxy, 'a')).toBe(502);
      await proxy.waitForLog((line) => line.status === 502 && line.upstream_failure === failure, failure);
      const { advice } = await proxy.status();
      expect(advice.map(({ remedy }) => remedy).join()).toMatch(/https:\/\//);
    }
  });
});
