// Pipelined requests on a connection are processed one at a time. All at once, the 1,900 that fit in one read would
// take every upstream slot. An offer of h2c, which some clients make with each request, costs them nothing.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery, get } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const BODY = '{"event":1}';
const routes = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }];

const signed = (...lines: readonly string[]) => delivery(BODY, value('a'), { lines });

async function sent(proxy: RunningProxy, bytes: string): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(bytes);
  return client;
}

/** Responds with the target, after a moment; `most` is the highest number of concurrent requests. */
async function startCountingUpstream() {
  let [open, most] = [0, 0];
  const server = createServer((request, response) => {
    most = Math.max(most, ++open);
    setTimeout(() => {
      open--;
      response.end(request.url);
    }, 2);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    most: () => most,
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe.concurrent('pipelined requests', () => {
  test('a hundred in one write are forwarded one at a time and answered in order', async ({ start }) => {
    using upstream = await startCountingUpstream();
    const proxy = await start({ upstream: { url: upstream.url }, routes });
    const targets = Array.from({ length: 100 }, (_, nth) => `/open/${nth}`);
    const client = await sent(proxy, targets.map((target) => get(target)).join(''));
    for (const target of targets) expect((await client.response()).body.toString()).toBe(target);
    expect(upstream.most()).toBe(1);
    client.destroy();
  });

  test('more than maxHeader bytes behind a request end the connection after its response', async ({
    start,
    onTestFinished,
  }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    upstream.script(() => {});
    const proxy = await start({ upstream: { url: upstream.url }, routes, limits: { maxHeader: '8KiB' } });
    const client = await sent(proxy, get('/open/first'));
    await eventually(() => upstream.heads.length, 1);
    await client.send(get('/open/behind').repeat(300));
    await proxy.metrics(); // by now the proxy has read these bytes
    for (const socket of upstream.sockets) socket.write(OK);
    const { status, lines } = await client.response();
    expect([status, values(lines, 'connection')]).toEqual([200, ['close']]);
    expect((await client.rest()).length).toBe(0);
    expect(upstream.heads.length).toBe(1);
  });
});

describe.concurrent('an offer of h2c', () => {
  const OFFER = [
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA',
  ] as const;

  test('on every delivery leaves the connection open', async ({ start, upstream }) => {
    const client = await openClient({ port: (await start()).port });
    for (const nth of [1, 2, 3]) {
      await client.send(signed(...OFFER));
      const { status, lines } = await client.response();
      expect([nth, status, values(lines, 'connection')]).toEqual([nth, 200, []]);
    }
    expect(upstream.requests.flatMap(({ rawHeaders }) => rawHeaders).join()).not.toMatch(/h2c|http2-settings/i);
    client.destroy();
  });

  test('with another delivery pipelined behind it loses neither', async ({ start, upstream }) => {
    const client = await sent(await start(), signed(...OFFER) + signed());
    for (const nth of [1, 2]) expect([nth, (await client.response()).status]).toEqual([nth, 200]);
    expect(upstream.requests.length).toBe(2);
    client.destroy();
  });
});
