// Who the client is goes to the log alone, unless the upstream is to be told.
// trustedProxies, forwardedHeaders, an upstream on a Unix socket, and checkExposure.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { exchange } from '../support/http/raw-client.ts';
import { listening } from '../support/machine/listening.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { edit, reload } from '../support/proxy/reloads.ts';

const get = (lines: readonly string[] = [], host = 'shop.example') =>
  `GET /open HTTP/1.1\r\n${[`Host: ${host}`, ...lines].join('\r\n')}\r\n\r\n`;
const OPEN = { routes: [{ path: '/open', action: 'forward' }] };

describe.concurrent('trustedProxies', () => {
  const clients = (proxy: RunningProxy) => proxy.logs().flatMap(({ client, route }) => (route ? [client] : []));

  const NOBODY: readonly string[] = [];
  const SOME = ['127.0.0.0/8', '10.0.0.0/8'];
  test.for([
    ['the peer, if nobody is trusted', NOBODY, [[['203.0.113.9'], '127.0.0.1']]],
    [
      'the rightmost that is no trusted proxy, over all lines, to an invalid one at most, and the peer without any',
      SOME,
      [
        [['203.0.113.9, 198.51.100.7, 10.1.2.3'], '198.51.100.7'],
        [['203.0.113.9', '10.1.2.3'], '203.0.113.9'],
        [['[2001:db8::1]:4711'], '2001:db8::1'],
        [['<script>, 10.1.2.3'], '10.1.2.3'],
        [[], '127.0.0.1'],
      ],
    ],
  ] as const)('the client is %s', async ([, trustedProxies, rows], { start, upstream }) => {
    const proxy = await start({ ...OPEN, listen: { trustedProxies }, log: { requests: 'all' } });
    for (const [values] of rows) {
      expect((await exchange(proxy.port, get(values.map((value) => `X-Forwarded-For: ${value}`)))).status).toBe(200);
    }
    await eventually(
      () => clients(proxy),
      rows.map(([, client]) => client),
    );
    // Only the log uses it: the upstream gets the original header.
    const got = upstream.requests.map(({ headers }) => headers['x-forwarded-for']);
    expect(got).toEqual(rows.map(([values]) => (values.length === 0 ? undefined : values.join(', '))));
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

  test('overwrite: one line each with what we saw, no claim of the client', async ({ start, lenient: upstream }) => {
    const proxy = await start({ ...OPEN, upstream: { url: upstream.url, forwardedHeaders: 'overwrite' } });
    await exchange(proxy.port, get(SPOOFED));
    await deliver(proxy, 'a');
    const [open, verified] = upstream.seen.map(({ lines }) => forwarded(lines));
    expect(open).toEqual(seenBy(proxy.port, 'shop.example'));
    expect(verified).toEqual(seenBy(proxy.port, `127.0.0.1:${proxy.port}`));
    // Nor does a Connection header take away what we saw.
    for (const name of ['X-Real-IP', 'X-Forwarded-Port', 'Forwarded']) {
      expect((await exchange(proxy.port, get([`Connection: ${name}`]))).status).toBe(400);
    }
    expect(upstream.seen).toHaveLength(2);
  });

  test('overwrite: allowHeaders passes, but never in place of what we saw', async ({ start, lenient: upstream }) => {
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

  test('none: they pass unchanged; and a reload changes it at once', async ({ start, lenient: upstream }) => {
    const proxy = await start({ ...OPEN, upstream: { url: upstream.url } });
    await exchange(proxy.port, get(SPOOFED));
    expect(forwarded(upstream.seen[0]?.lines ?? [])).toEqual(SPOOFED);
    await edit(proxy, ({ upstream, ...rest }) => ({
      ...rest,
      upstream: { ...upstream, forwardedHeaders: 'overwrite' },
    }));
    await reload(proxy);
    await exchange(proxy.port, get(SPOOFED));
    expect(forwarded(upstream.seen[1]?.lines ?? [])).toEqual(seenBy(proxy.port, 'shop.example'));
  });
});

describe.concurrent('an upstream on a Unix socket', () => {
  test('gets the client’s Host; may start late and come back', async ({ start, directory, onTestFinished }) => {
    const path = join(directory, 'app.sock');
    const hosts: (string | undefined)[] = [];
    const listen = async () => {
      const server = createServer((request, response) => {
        hosts.push(request.headers.host);
        request.resume().on('end', () => response.end('ok'));
      });
      return (await listening(server, path)).close;
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
  const checked = async ({ adminPort, configFile }: RunningProxy): Promise<string> => {
    const words = ['check', '--config', configFile, '--json'];
    const { stdout } = await callCommand(words, { env: { ADMIN_PORT: String(adminPort) } });
    return JSON.parse(stdout).checks.find(({ id }: { id: string }) => id === 'exposed')?.state;
  };

  test('an upstream on the pod’s address, too, is told by log, gauge, page and check', async ({
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
    expect(await proxy.status()).toMatchObject({ upstream: { exposed: true } });
    expect(await checked(proxy)).toBe('failed');
  });

  test('an upstream on loopback alone is not exposed, nor any without $POD_IP', async ({ start, upstream }) => {
    const config = { upstream: { url: upstream.url, checkExposure: true } };
    const proxy = await start(config, { env });
    const unaware = await start(config);
    for (const [one, state] of [
      [proxy, 'ok'],
      [unaware, 'unknown'],
    ] as const) {
      expect(await exposed(one)).toBe(0);
      await eventually(() => checked(one), state);
    }
    await proxy.waitForLog(({ msg }) => msg === 'listening');
    expect(proxy.logs().some(({ msg }) => msg === 'clients can bypass the proxy and reach the upstream')).toBe(false);
  });

  test('without the key there is no gauge, and a reload turns it on and off', async ({ start, upstream }) => {
    // The upstream listens on 127.0.0.1, which stands for the pod's address here.
    const proxy = await start({ upstream: { url: upstream.url } }, { env: { POD_IP: '127.0.0.1' } });
    expect(await exposed(proxy)).toBe(undefined);
    for (const [checkExposure, gauge] of [
      [true, 1],
      [false, undefined],
    ] as const) {
      await edit(proxy, ({ upstream, ...rest }) => ({ ...rest, upstream: { ...upstream, checkExposure } }));
      await reload(proxy);
      await eventually(() => exposed(proxy), gauge);
    }
  });
});
