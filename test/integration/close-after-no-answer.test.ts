// What the proxy gets no answer to closes the connection.
// If a client kept its connection after our own 502, 503 or 504, its retry would reach the same pod. A closed connection
// lets the retry reach another pod.
import { describe, expect } from 'vitest';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery, get } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';

const DELIVERY = delivery('{"event":1}', value('a'));
const routes = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }];

async function sent(proxy: RunningProxy, bytes: string): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(bytes);
  return client;
}

describe.concurrent('the connection ends with', () => {
  async function expectClosed(client: RawClient, status: number): Promise<void> {
    const response = await client.response();
    expect([response.status, values(response.lines, 'connection')]).toEqual([status, ['close']]);
    expect((await client.rest()).length).toBe(0);
  }

  test('502: nothing listens at the upstream address', async ({ start }) => {
    const proxy = await start({ upstream: { url: NOBODY, retryConnectFor: '100ms' }, routes });
    await expectClosed(await sent(proxy, DELIVERY), 502);
    await expectClosed(await sent(proxy, get('/open/x')), 502);
  });

  test('502: the upstream hangs up', async ({ start, onTestFinished }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    upstream.script((socket) => socket.destroy());
    const proxy = await start({ upstream: { url: upstream.url }, routes });
    await expectClosed(await sent(proxy, DELIVERY), 502);
    await expectClosed(await sent(proxy, get('/open/x')), 502);
  });

  test('503: no live secret', async ({ start }) => {
    const proxy = await start({}, { secrets: {} });
    await expectClosed(await sent(proxy, DELIVERY), 503);
  });

  test('503: every upstream slot is taken', async ({ start, onTestFinished }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    upstream.script(() => {});
    const proxy = await start({
      upstream: { url: upstream.url, connections: 1, retryConnectFor: '100ms' },
      routes,
    });
    const first = await sent(proxy, DELIVERY);
    await eventually(() => upstream.heads.length, 1);
    await expectClosed(await sent(proxy, DELIVERY), 503);
    first.destroy();
  });

  test('504: the upstream does not respond in time', async ({ start, onTestFinished }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    upstream.script(() => {});
    const proxy = await start({ upstream: { url: upstream.url, responseTimeout: '100ms' }, routes });
    await expectClosed(await sent(proxy, DELIVERY), 504);
    await expectClosed(await sent(proxy, get('/open/x')), 504);
  });
});
