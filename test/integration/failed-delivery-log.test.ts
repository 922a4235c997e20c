// A delivery that failed can be found again.
// Entrupy documents no retry, so a verified delivery that ends in our 502, 503 or 504 may be lost for good. The log
// must identify the body and the cause, and never show the body itself.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { ApiStatus } from '../../src/admin/advice.ts';
import { sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const BODY = '{"event":"that may be lost"}';
const TAG = createHash('sha256').update(BODY).digest('hex').slice(0, 16);

function deliver(proxy: RunningProxy, signature = sign(value('a'), BODY)) {
  const head = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${signature}\r\nContent-Length: ${BODY.length}`;
  return exchange(proxy.port, `${head}\r\n\r\n${BODY}`);
}

const logged = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === 'request', 'the request');

test('no upstream: 502, with the system error code', async ({ start }) => {
  const upstream = { url: NOBODY, retryConnectFor: '200ms' };
  const proxy = await start({ upstream });
  expect((await deliver(proxy)).status).toBe(502);
  expect(await logged(proxy)).toMatchObject({
    status: 502,
    upstream_failure: 'connect',
    upstream_error: 'ECONNREFUSED',
    body_sha256: TAG,
  });
  expect(await (await fetch(`${proxy.adminUrl}/api/status`)).text()).toContain(TAG);
});

test('an upstream that resets: 502; one that never answers: 504', async ({ start, onTestFinished }) => {
  const raw = await startRawUpstream();
  onTestFinished(() => raw.close());
  raw.script((socket) => void socket.resetAndDestroy());
  const proxy = await start({ upstream: { url: raw.url } });
  expect((await deliver(proxy)).status).toBe(502);
  expect(await logged(proxy)).toMatchObject({
    upstream_failure: 'reset',
    upstream_error: 'ECONNRESET',
    body_sha256: TAG,
  });
  raw.script(() => {});
  const slow = await start({ upstream: { url: raw.url, responseTimeout: '300ms' } });
  expect((await deliver(slow)).status).toBe(504);
  expect(await logged(slow)).toMatchObject({ status: 504, upstream_failure: 'timeout', body_sha256: TAG });
});

test('no slot within the wait: 503', async ({ start, onTestFinished }) => {
  const raw = await startRawUpstream();
  onTestFinished(() => raw.close());
  raw.script(() => {});
  const proxy = await start({ upstream: { url: raw.url, connections: 1, retryConnectFor: '200ms' } });
  const first = deliver(proxy).catch(() => null);
  await expect.poll(() => raw.heads.length).toBe(1);
  expect((await deliver(proxy)).status).toBe(503);
  expect(await logged(proxy)).toMatchObject({
    status: 503,
    reason: 'overloaded',
    hint: 'no place in upstream.connections became free',
    body_sha256: TAG,
  });
  await raw.close();
  await first;
});

test('the app answers 5xx: a line at log.requests: rejected, and a place among the lost deliveries', async ({
  start,
  onTestFinished,
}) => {
  const app = await startUpstream({ handle: (_, response) => void response.writeHead(500).end('{"oops":1}') });
  onTestFinished(() => app.close());
  const proxy = await start({ upstream: { url: app.url } });
  expect((await deliver(proxy)).status).toBe(500);
  expect(await logged(proxy)).toMatchObject({
    level: 'error',
    status: 500,
    decision: 'accepted',
    reason: 'none',
    upstream_status: 500,
    body_sha256: TAG,
  });
  const { undelivered, routes, advice } = (await (await fetch(`${proxy.adminUrl}/api/status`)).json()) as ApiStatus;
  expect(undelivered).toMatchObject([{ status: 500, cause: '5xx', bodySha256: TAG }]);
  expect(routes[0]?.traffic).toMatchObject({ answers: { '5xx': 1 }, notTaken: { failed: 1 } });
  expect(advice.find(({ id }) => id === 'deliveries')).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('500'),
  });
});

test('the app’s 2xx and 4xx, and 5xx to what nobody signed, leave no line', async ({ start, onTestFinished }) => {
  let status = 404;
  const app = await startUpstream({ handle: (_, response) => void response.writeHead(status).end() });
  onTestFinished(() => app.close());
  const proxy = await start({ upstream: { url: app.url }, routes: [{ path: '/open', action: 'forward' }] });
  expect((await deliver(proxy)).status).toBe(404);
  status = 200;
  expect((await deliver(proxy)).status).toBe(200);
  status = 500;
  expect((await fetch(`${proxy.url}/open`)).status).toBe(500);
  expect((await fetch(`${proxy.url}/notify`, { method: 'POST' })).status).toBe(401);
  expect(await logged(proxy)).toMatchObject({ reason: 'missing_signature' });
});

test('an unverified request leaves no trace of its body', async ({ start }) => {
  const proxy = await start({ upstream: { url: NOBODY, retryConnectFor: '200ms' } });
  expect((await deliver(proxy, sign('another-secret-0123456789', BODY))).status).toBe(401);
  expect(await logged(proxy)).not.toHaveProperty('body_sha256');
});
