// Who the client is goes to the log alone, unless the upstream is to be told.
// trustedProxies, forwardedHeaders, an upstream on a Unix socket, and checkExposure.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { exchange } from '../support/http/raw-client.ts';
import { replaceFile } from '../support/machine/files.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const get = (lines: readonly string[] = [], host = 'shop.example') =>
  `GET /open HTTP/1.1\r\n${[`Host: ${host}`, ...lines].join('\r\n')}\r\n\r\n`;
const OPEN = { routes: [{ path: '/open', action: 'forward' }] };

describe.concurrent('trustedProxies', () => {
  const clients = (proxy: RunningProxy) => proxy.logs().flatMap(({ client, route }) => (route ? [client] : []));

  test.for([
    ['nobody is trusted', [], ['X-Forwarded-For: 203.0.113.9'], '127.0.0.1'],
    [
      'the rightmost address that is not a trusted proxy',
      ['127.0.0.0/8', '10.0.0.0/8'],
      ['X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.1.2.3'],
      '198.51.100.7',
    ],
    [
      'over several lines',
      ['127.0.0.1/32', '10.0.0.0/8'],
      ['X-Forwarded-For: 203.0.113.9', 'X-Forwarded-For: 10.1.2.3'],
      '203.0.113.9',
    ],
    ['IPv6 with a port', ['127.0.0.1/32'], ['X-Forwarded-For: [2001:db8::1]:4711'], '2001:db8::1'],
    [
      'an invalid address ends the walk',
      ['127.0.0.1/32', '10.0.0.0/8'],
      ['X-Forwarded-For: <script>, 10.1.2.3'],
      '10.1.2.3',
    ],
    ['the peer itself without a header', ['127.0.0.1/32'], [], '127.0.0.1'],
  ] as const)('%s', async ([, trustedProxies, lines, client], { start, upstream }) => {
    const proxy = await start({ ...OPEN, listen: { trustedProxies }, log: { requests: 'all' } });
    expect((await exchange(proxy.port, get(lines))).status).toBe(200);
    await eventually(() => clients(proxy), [client]);
    // Only the log uses it: the upstream gets the original header.
    expect(upstream.requests[0]?.headers['x-forwarded-for']).toBe(
      lines.length === 0 ? undefined : lines.map((line) => line.slice('X-Forwarded-For: '.length)).join(', '),
    );
  });
});

describe.concurrent('forwardedHeaders', () => {
  const SPOOFED = [
    'X-Forwarded-For: 1.2.3.4',
    'x-forwarded-for: 5.6.7.8',
    'X-FORWARDED-PROTO: https',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Port: 1',
    'X-Forwarded-User: root',
    'X-Forwarded-Ssl: on',
    'X-Forwarded-Client-Cert: Hash=1',
    'X-Forwarded-A-Name-To-Come: 1',
    'X-Forwarded: for=1.2.3.4',
    'Forwarded: for=1.2.3.4;proto=https',
    'X-Real-IP: 1.2.3.4',
    // CGI, PHP and lighttpd make one variable of these and of the names above.
    'x-real.ip: 1.2.3.4',
    'X.Forwarded.For: 1.2.3.4',
    "X!Forwarded'User: root",
    'x~real|ip: 1.2.3.4',
  ];
  const forwarded = (lines: readonly string[]) => lines.filter((line) => /forwarded|real/i.test(line));
  const seenBy = (port: number, host: string) => [
    'X-Forwarded-For: 127.0.0.1',
    'X-Forwarded-Proto: http',
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Port: ${port}`,
    'X-Real-IP: 127.0.0.1',
  ];

  test('overwrite: one line each with what we saw; the client’s own claims are dropped', async ({
    start,
    onTestFinished,
  }) => {
    const upstream = await startLenientUpstream();
    onTestFinished(() => upstream.close());
    const proxy = await start({ ...OPEN, upstream: { url: upstream.url, forwardedHeaders: 'overwrite' } });
    await exchange(proxy.port, get(SPOOFED));
    await deliver(proxy, 'a');
    const [open, verified] = upstream.seen.map(({ lines }) => forwarded(lines));
    expect(open).toEqual(seenBy(proxy.port, 'shop.example'));
    expect(verified).toEqual(seenBy(proxy.port, `127.0.0.1:${proxy.port}`));
  });

  test('overwrite: what the route’s allowHeaders names passes, but never in place of what we saw', async ({
    start,
    onTestFinished,
  }) => {
    const upstream = await startLenientUpstream();
    onTestFinished(() => upstream.close());
    const allowHeaders = ['Forwarded', 'X-Forwarded-User', 'x-forwarded-prefix', 'x-real-ip', 'x_forwarded_for'];
    const proxy = await start({
      routes: [{ path: '/open', action: 'forward', allowHeaders }],
      upstream: { url: upstream.url, forwardedHeaders: 'overwrite' },
    });
    await exchange(proxy.port, get([...SPOOFED, 'X-Forwarded-Prefix: /shop', 'X_Forwarded_For: 1.2.3.4']));
    expect(forwarded(upstream.seen[0]?.lines ?? [])).toEqual([
      'X-Forwarded-User: root',
      'Forwarded: for=1.2.3.4;proto=https',
      'X-Forwarded-Prefix: /shop',
      ...seenBy(proxy.port, 'shop.example'),
    ]);
  });

  test('overwrite: a Connection header cannot take away what we saw', async ({ start, onTestFinished }) => {
    const upstream = await startLenientUpstream();
    onTestFinished(() => upstream.close());
    const proxy = await start({ ...OPEN, upstream: { url: upstream.url, forwardedHeaders: 'overwrite' } });
    for (const name of ['X-Real-IP', 'X-Forwarded-Port', 'Forwarded']) {
      expect((await exchange(proxy.port, get([`Connection: ${name}`]))).status).toBe(400);
    }
    expect(upstream.seen).toEqual([]);
  });

  test('none: they pass unchanged; and a reload changes it at once', async ({ start, onTestFinished }) => {
    const upstream = await startLenientUpstream();
    onTestFinished(() => upstream.close());
    const proxy = await start({ ...OPEN, upstream: { url: upstream.url } });
    await exchange(proxy.port, get(SPOOFED));
    expect(forwarded(upstream.seen[0]?.lines ?? [])).toEqual(SPOOFED);
    const config = JSON.stringify({
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      upstream: { url: upstream.url, forwardedHeaders: 'overwrite' },
      ...OPEN,
    });
    await replaceFile(proxy.configFile, config);
    await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
    await exchange(proxy.port, get(SPOOFED));
    expect(forwarded(upstream.seen[1]?.lines ?? [])).toEqual(seenBy(proxy.port, 'shop.example'));
  });
});

describe.concurrent('an upstream on a Unix socket', () => {
  test('gets requests with the client’s Host; may start late, go away and come back', async ({
    start,
    directory,
    onTestFinished,
  }) => {
    const path = join(directory, 'app.sock');
    const hosts: (string | undefined)[] = [];
    const listen = async () => {
      const server = createServer((request, response) => {
        hosts.push(request.headers.host);
        request.resume().on('end', () => response.end('ok'));
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
      return async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      };
    };
    const proxy = await start({
      ...OPEN,
      upstream: { url: `unix://${path}`, retryConnectFor: '20s' },
      admin: { readyNeedsUpstream: true },
    });
    const ready = async () => (await fetch(`${proxy.adminUrl}/readyz`)).status;
    expect(await ready()).toBe(503);
    const early = deliver(proxy, 'a');
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 1);
    const close = await listen();
    expect(await early).toBe(200);
    expect(await ready()).toBe(200);
    expect((await exchange(proxy.port, get())).status).toBe(200);
    await close();
    const between = deliver(proxy, 'a');
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 1);
    onTestFinished(await listen());
    expect(await between).toBe(200);
    expect(hosts).toEqual([`127.0.0.1:${proxy.port}`, 'shop.example', `127.0.0.1:${proxy.port}`]);
  });
});

// All of 127.0.0.0/8 is this machine on Linux: 127.0.0.2 stands for the pod's own address.
describe.skipIf(process.platform !== 'linux').concurrent('checkExposure', () => {
  const exposed = async (proxy: RunningProxy) => (await proxy.metrics()).get('entrupy_proxy_upstream_exposed');
  const env = { POD_IP: '127.0.0.2' };

  test('an upstream that also listens on the pod’s address causes a warning, a gauge and a note on the status page', async ({
    start,
    onTestFinished,
  }) => {
    const server = createServer((request, response) => request.resume().on('end', () => response.end()));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const proxy = await start({ upstream: { url: `http://127.0.0.1:${port}`, checkExposure: true } }, { env });
    const line = await proxy.waitForLog(({ msg }) => msg === 'clients can bypass the proxy and reach the upstream');
    expect([line.level, line.host, line.port]).toEqual(['warn', '127.0.0.2', port]);
    expect(await exposed(proxy)).toBe(1);
    expect(await (await fetch(`${proxy.adminUrl}/api/status`)).json()).toMatchObject({ upstream: { exposed: true } });
  });

  test('an upstream on loopback alone is not exposed; without $POD_IP nothing is checked', async ({
    start,
    upstream,
  }) => {
    const config = { upstream: { url: upstream.url, checkExposure: true } };
    const proxy = await start(config, { env });
    expect(await exposed(proxy)).toBe(0);
    const unaware = await start(config);
    expect(await exposed(unaware)).toBe(0);
    await proxy.waitForLog(({ msg }) => msg === 'listening');
    expect(proxy.logs().some(({ msg }) => msg === 'clients can bypass the proxy and reach the upstream')).toBe(false);
  });

  test('without the key there is no gauge', async ({ start }) => {
    expect(await exposed(await start({}, { env }))).toBe(undefined);
  });

  test('a reload turns it on and off', async ({ start, onTestFinished }) => {
    const upstream = await startUpstream();
    onTestFinished(() => upstream.close());
    // The upstream listens on 127.0.0.1, which stands for the pod's address here.
    const proxy = await start({ upstream: { url: upstream.url } }, { env: { POD_IP: '127.0.0.1' } });
    const config = (checkExposure: boolean) =>
      JSON.stringify({
        listen: { host: '127.0.0.1', port: 0 },
        admin: { host: '127.0.0.1', port: 0 },
        upstream: { url: upstream.url, checkExposure },
      });
    for (const [on, gauge] of [
      [true, 1],
      [false, undefined],
    ] as const) {
      await replaceFile(proxy.configFile, config(on));
      await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
      await eventually(() => exposed(proxy), gauge);
    }
  });
});
