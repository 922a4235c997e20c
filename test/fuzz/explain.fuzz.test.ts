// What `explain` says is what the proxy does: the same request, asked of the command and sent to a running proxy.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/commands/explain.ts';
import { sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { fakeIo } from '../support/proxy/fake-io.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { fuzz, TEST_TIMEOUT } from './time-box.ts';

const SECRET = 'explained-secret-0123456789abcdef';
const EVENT = '{"event":1}';

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url },
      routes: [
        { path: '/notify', maxBody: '1KiB' },
        { path: '/strict', query: 'refuse', methods: ['POST', 'PUT'] },
        { path: '/report', mode: 'report' },
        { path: '/open/*', action: 'forward', methods: ['GET', 'POST'], allowHeaders: ['x-forwarded-prefix'] },
        { path: '/gone/*', action: 'reject' },
      ],
      unmatched: 'reject',
    },
    secrets: { current: SECRET },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

type Lines = readonly (readonly string[])[];

const path = fc.oneof(
  fc.constantFrom('/notify', '/strict', '/report', '/open/x', '/gone/x', '/elsewhere'),
  fc.constantFrom('//notify', '/NOTIFY', '/%6eotify', '/open/../notify', '/x/..;/strict', '/open/%2e%2e/report'),
);
const line = fc.constantFrom(
  ['X-Forwarded-Prefix', '/shop'],
  ['X-Original-URL', '/notify'],
  ['X_Under', 'a'],
  ['Host', 'b'],
  ['Connection', 'host'],
  ['Content-Length', '9999'],
  ['Entrupy-Signature', 'SHA256:short'],
  ['Entrupy-Signature', 'MD5:x'],
  ['Entrupy.Signature', 'x'],
  ['X-Plain', 'a'],
);
const request = fc.record({
  method: fc.constantFrom('POST', 'GET', 'PUT', 'DELETE', 'OPTIONS'),
  target: fc.tuple(path, fc.constantFrom('', '', '?a=b', '?%zz', '#x')).map(([before, after]) => before + after),
  lines: fc.array(line, { maxLength: 2 }),
});

/** The last line that begins with `=> `, as a status, or `forwarded`, or `reported` with its reason. */
async function explained(method: string, target: string, lines: Lines): Promise<string> {
  const io = fakeIo();
  const headers = lines.flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  await run([method, target, '--config', proxy.configFile, ...headers], io);
  const said = io.printed.stdout.split('\n').findLast((text) => text.startsWith('=> ')) ?? io.printed.stderr;
  const [, reported] = /^=> forwarded, reported as (\w+)/.exec(said) ?? [];
  if (reported !== undefined) return `reported ${reported}`;
  return /^=> (?:verified|forwarded)/.test(said) ? 'forwarded' : (/^=> (\d+ \w+)/.exec(said)?.[1] ?? said);
}

/** The decision and reason of the one request that was counted since `before`. */
async function counted(before: ReadonlyMap<string, number>): Promise<{ decision: string; reason: string }> {
  const now = await proxy.metrics();
  const [series = ''] =
    [...now].find(([name, value]) => name.startsWith(TOTAL) && value !== (before.get(name) ?? 0)) ?? [];
  const [, decision = '', reason = ''] = /decision="(\w+)",reason="(\w+)"/.exec(series) ?? [];
  return { decision, reason };
}

const TOTAL = 'entrupy_proxy_requests_total{';

/** What the proxy does with it: signed as it must be, unless it brings a signature of its own. */
async function done(method: string, target: string, lines: Lines): Promise<string> {
  const has = (name: RegExp) => lines.some(([given = '']) => name.test(given));
  const length = Number(lines.find(([name]) => name === 'Content-Length')?.[1] ?? EVENT.length);
  const body = EVENT.padEnd(length);
  const all = [
    ...(has(/^host$/i) ? [] : [['Host', 'example.test']]),
    ...(has(/^entrupy.signature$/i) ? [] : [['Entrupy-Signature', sign(SECRET, body)]]),
    ...lines,
    ...(has(/^content-length$/i) ? [] : [['Content-Length', `${length}`]]),
  ];
  const head = [`${method} ${target} HTTP/1.1`, ...all.map(([name, value]) => `${name}: ${value}`), '', ''];
  const before = await proxy.metrics();
  const { status } = await exchange(proxy.port, head.join('\r\n') + body);
  await untilAtRest(proxy);
  const { decision, reason } = await counted(before);
  if (decision === 'rejected') return `${status} ${reason}`;
  expect(status).toBe(200);
  return decision === 'reported' ? `reported ${reason}` : 'forwarded';
}

test('any request', { timeout: TEST_TIMEOUT }, async () => {
  await fuzz(request, async ({ method, target, lines }) => {
    expect(await done(method, target, lines)).toBe(await explained(method, target, lines));
  });
});
