// Who the client is goes to the log alone, unless the upstream is to be told. And what a proxy tells of requests that it forwards
// without a verdict: those that had a signature, and the trace that a request belongs to.
import { createServer } from 'node:http';
import { beforeEach, describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { exchange } from '../support/http/raw-client.ts';
import { delivery, post } from '../support/http/requests.ts';
import { listening } from '../support/machine/listening.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const get = (lines: readonly string[] = [], host = 'shop.example') =>
  `GET /open HTTP/1.1\r\n${[`Host: ${host}`, ...lines].join('\r\n')}\r\n\r\n`;
const OPEN = { path: '/open', action: 'forward' };
const CONFIG = { routes: [OPEN, { path: '/notify' }], unmatched: 'forward', log: { requests: 'all' } };

const forwarded = (lines: readonly string[]) => lines.filter((line) => /forwarded|real/i.test(line));

const on = shared(startLenientUpstream, CONFIG);
beforeEach(() => {
  on.upstream.seen.length = 0;
});

test('signed requests that are forwarded unverified are told', async () => {
  const target = '/webhooks/entrupy';
  const malformed = post('event', { target, lines: ['Entrupy-Signature: none'] });
  const forged = (target: string) => delivery('event', value('forged'), { target });
  for (const bytes of [post('event', { target }), malformed, get(), forged(target), forged(target)])
    expect((await exchange(on.proxy.port, bytes)).status).toBe(200);
  on.upstream.answer(() => 'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n');
  expect((await exchange(on.proxy.port, forged('/later'))).status).toBe(404);
  on.upstream.answer(() => OK);
  expect((await on.proxy.metrics()).get('entrupy_proxy_unverified_signatures_total{route="unmatched"}')).toBe(4);
  expect((await on.proxy.status()).advice[0]).toMatchObject({
    ...{ id: 'signed-unverified', state: 'failed' },
    message: expect.stringMatching(/ the last to \/later .* The app answered 404 to the last one\.$/),
  });
});

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
test.for<[traceparent: string, id?: string]>([
  [`00-${ID}-${PARENT}-01`, ID],
  [`01-${ID}-${PARENT}-01-what a later version adds`, ID],
  [`ff-${ID}-${PARENT}-01`],
  [`00-${'0'.repeat(32)}-${PARENT}-01`],
  [`00-${ID}-${'0'.repeat(16)}-01`],
  [`00-${ID.toUpperCase()}-${PARENT}-01`],
  [`00-${ID}-${PARENT}-01x`],
  [ID],
])('the log has the id of a valid trace only: %s', async ([traceparent, id]) => {
  const lines = on.proxy.logs().length;
  await exchange(on.proxy.port, get([`Traceparent: ${traceparent}`]));
  const logged = () => on.proxy.logs().slice(lines);
  await eventually(() => logged().map(({ trace_id }) => trace_id), [id]);
});

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
      [['203.0.113.9', '198.51.100.7'], '198.51.100.7'],
      [['[2001:db8::1]:4711'], '2001:db8::1'],
      [['203.0.113.9, <script>, 10.1.2.3'], '10.1.2.3'],
      [[], '127.0.0.1'],
    ],
  ],
] as const)('trustedProxies: the client is %s', async ([, trustedProxies, rows]) => {
  await change(on.proxy, ({ listen }) => ({ listen: { ...listen, trustedProxies } }));
  const clients = () => on.proxy.logs().flatMap(({ client, route }) => (route ? [client] : []));
  const before = clients().length;
  const lines = rows.map(([values]) => values.map((value) => `X-Forwarded-For: ${value}`));
  for (const each of lines) expect((await exchange(on.proxy.port, get(each))).status).toBe(200);
  await eventually(
    () => clients().slice(before),
    rows.map(([, client]) => client),
  );
  // Only the log uses it: the upstream gets the original header.
  expect(on.upstream.seen.map((request) => forwarded(request.lines))).toEqual(lines);
});

describe('forwardedHeaders', () => {
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
  const seenBy = (port: number, host: string) => [
    'X-Forwarded-For: 127.0.0.1',
    'X-Forwarded-Proto: http',
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Port: ${port}`,
    'X-Real-IP: 127.0.0.1',
  ];

  test('none: they pass unchanged', async () => {
    await exchange(on.proxy.port, get(SPOOFED));
    expect(forwarded(on.upstream.seen[0]?.lines ?? [])).toEqual(SPOOFED);
  });

  test('overwrite, from a reload on: one line each with what we saw, no claim of the client', async () => {
    await change(on.proxy, ({ upstream }) => ({ upstream: { ...upstream, forwardedHeaders: 'overwrite' } }));
    await exchange(on.proxy.port, get(SPOOFED));
    await deliver(on.proxy, 'a');
    const [open, verified] = on.upstream.seen.map(({ lines }) => forwarded(lines));
    expect(open).toEqual(seenBy(on.proxy.port, 'shop.example'));
    expect(verified).toEqual(seenBy(on.proxy.port, `127.0.0.1:${on.proxy.port}`));
    // Nor does a Connection header take away what we saw.
    for (const name of ['X-Real-IP', 'X-Forwarded-Port', 'Forwarded']) {
      expect((await exchange(on.proxy.port, get([`Connection: ${name}`]))).status).toBe(400);
    }
    expect(on.upstream.seen).toHaveLength(2);
  });

  test('overwrite: allowHeaders passes, but never in place of what we saw', async () => {
    const allowHeaders = ['Forwarded', 'X-Forwarded-User', 'x-forwarded-prefix', 'x-real-ip', 'x_forwarded_for'];
    await change(on.proxy, () => ({ routes: [{ ...OPEN, allowHeaders }] }));
    await exchange(on.proxy.port, get([...SPOOFED, 'X-Forwarded-Prefix: /shop', 'X_Forwarded_For: 1.2.3.4']));
    expect(forwarded(on.upstream.seen[0]?.lines ?? [])).toEqual([
      'X-Forwarded-User: root',
      'Forwarded: for=1.2.3.4;proto=https',
      'X-Forwarded-Prefix: /shop',
      ...seenBy(on.proxy.port, 'shop.example'),
    ]);
  });
});

// All of 127.0.0.0/8 is this machine on Linux: 127.0.0.2 stands for the pod's own address.
describe.skipIf(process.platform !== 'linux')('checkExposure', () => {
  const exposed = async (proxy: RunningProxy) => (await proxy.metrics()).get('entrupy_proxy_upstream_exposed');
  const env = { POD_IP: '127.0.0.2' };
  const BYPASS = 'clients can bypass the proxy and reach the upstream';
  const checked = async ({ adminPort, configFile }: RunningProxy): Promise<string> => {
    const words = ['check', '--config', configFile, '--json'];
    const { stdout } = await callCommand(words, { env: { ADMIN_PORT: String(adminPort) } });
    return JSON.parse(stdout).checks.find(({ id }: { id: string }) => id === 'exposed')?.state;
  };

  test('an upstream on the pod’s address is told; a reload turns it off and on', async ({ start, onTestFinished }) => {
    const server = createServer((request, response) => request.resume().on('end', () => response.end()));
    const { port, close } = await listening(server, 0, '0.0.0.0');
    onTestFinished(close);
    const proxy = await start({ upstream: { url: `http://127.0.0.1:${port}`, checkExposure: true } }, { env });
    const line = await proxy.waitForLog(({ msg }) => msg === BYPASS);
    expect([line.level, line.host, line.port]).toEqual(['warn', '127.0.0.2', port]);
    expect(await exposed(proxy)).toBe(1);
    expect(await proxy.status()).toMatchObject({ upstream: { exposed: true } });
    expect(await checked(proxy)).toBe('warning');
    for (const [checkExposure, gauge] of [
      [false, undefined], // without the key there is no gauge
      [true, 1],
    ] as const) {
      await change(proxy, ({ upstream }) => ({ upstream: { ...upstream, checkExposure } }));
      await eventually(() => exposed(proxy), gauge);
    }
  });

  test('an upstream on loopback alone is not exposed, nor any without $POD_IP', async ({ start, upstream }) => {
    const proxy = await start({ upstream: { url: upstream.url, checkExposure: true } }, { env });
    const unaware = on.proxy;
    await change(unaware, (config) => ({ upstream: { ...config.upstream, checkExposure: true } }));
    for (const [one, state] of [
      [proxy, 'ok'],
      [unaware, 'unknown'],
    ] as const) {
      expect(await exposed(one)).toBe(0);
      await eventually(() => checked(one), state);
      expect(one.logs().some(({ msg }) => msg === BYPASS)).toBe(false);
    }
  });
});
