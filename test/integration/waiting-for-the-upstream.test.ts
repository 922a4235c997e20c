// An upstream that is not there yet, restarts or is busy. A request of which no byte was sent waits within bounds, and
// arrives once or never.
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';
import { delivery, idsOf, numbers, patient } from '../support/deliveries/numbered.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { inFlight, untilAtRest } from '../support/proxy/at-rest.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload } from '../support/proxy/reloads.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const FAILED = 'entrupy_proxy_upstream_failures_total{route="/notify",cause="connect"}';

test.concurrent('a port that refuses, then listens again: each request arrives once, and nothing that was left', async ({
  upstream,
  proxyTo,
}) => {
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

test.concurrent('a unix socket that is missing for longer than retryConnectFor: 502; one that appears within it, or comes back', async ({
  directory,
  onTestFinished,
  proxyTo,
}) => {
  const path = join(directory, 'app.sock');
  const config = { ...patient({ retryConnectFor: '300ms' }), admin: { readyNeedsUpstream: true } };
  const proxy = await proxyTo({ url: `unix://${path}` }, config);
  const ready = async () => (await fetch(`${proxy.adminUrl}/readyz`)).status;
  expect(await ready()).toBe(503);
  await expectBadGateway(proxy);
  await reload(proxy, (config) => config.replace('retryConnectFor: 300ms', 'retryConnectFor: 30s'));
  const client = await sendTo(proxy, delivery(1));
  await inFlight(proxy, 1);
  const upstream = await startRawUpstream(path);
  onTestFinished(upstream.close);
  expect((await client.response()).status).toBe(200);
  expect(await ready()).toBe(200);
  await upstream.stop();
  await client.send(delivery(2));
  await inFlight(proxy, 1);
  await upstream.listen();
  expect((await client.response()).status).toBe(200);
  expect(idsOf(upstream)).toEqual([1, 2]);
  for (const head of upstream.heads) expect(head).toMatch(/\r\nHost: a\r\n/); // the client's
});

test.concurrent('a name without an address for longer than retryConnectFor: 502', async ({ proxyTo }) => {
  await expectBadGateway(await proxyTo({ url: 'http://upstream.invalid:80' }, patient({ retryConnectFor: '300ms' })));
});

test.concurrent('a port that refuses for longer: 502, which ends the connection and the requests behind it', async ({
  proxyTo,
}) => {
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

test.concurrent('a busy upstream gets upstream.connections requests at most; others queue for retryConnectFor', async ({
  raw: upstream,
  proxyTo,
}) => {
  let [now, most] = [0, 0];
  upstream.script((socket) => {
    most = Math.max(most, ++now);
    setTimeout(() => {
      now--;
      socket.write(OK);
    }, 5);
  });
  const proxy = await proxyTo(upstream, patient({ connections: 3 }));
  const clients = await Promise.all(numbers(40).map((id) => sendTo(proxy, delivery(id))));
  const responses = await Promise.all(clients.map((client) => client.response()));
  expect(responses.map(({ status }) => status)).toEqual(Array(40).fill(200));
  expect(most).toBe(3);
  expect(idsOf(upstream)).toEqual(numbers(40));

  // Without a slot within it: 503, and nothing reaches it.
  await reload(proxy, (config) => config.replace('retryConnectFor: 30s', 'retryConnectFor: 200ms'));
  upstream.heads.length = 0;
  upstream.script(() => {});
  const held = await Promise.all(numbers(3).map((id) => sendTo(proxy, delivery(id))));
  await eventually(() => idsOf(upstream), [0, 1, 2]);
  const { body, lines } = await (await sendTo(proxy, delivery(3))).response();
  expect([body.toString(), lines.includes('Connection: close')]).toEqual(['{"error":"overloaded"}', true]);
  expect(idsOf(upstream)).toEqual([0, 1, 2]);
  for (const client of held) client.destroy();
  await untilAtRest(proxy);
  upstream.script((socket) => socket.write(OK));
  const last = await sendTo(proxy, delivery(4));
  expect((await last.response()).status).toBe(200);
  last.destroy();
});
