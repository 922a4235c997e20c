// What `explain` says is what the proxy does: the same request, asked of the command and sent to a running proxy.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { run } from '../../src/commands/explain.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { ran } from '../support/proxy/command.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { fuzz } from './time-box.ts';

const EVENT = '{"event":1}';

const on = shared(startLenientUpstream, {
  routes: [
    { path: '/notify', maxBody: '1KiB' },
    { path: '/strict', query: 'refuse', methods: ['POST', 'PUT'] },
    { path: '/report', mode: 'report' },
    { path: '/open/*', action: 'forward', methods: ['GET', 'POST'], allowHeaders: ['x-forwarded-prefix'] },
    { path: '/gone/*', action: 'reject' },
  ],
  unmatched: 'reject',
});

type Lines = readonly (readonly string[])[];

const words = (text: string) => fc.constantFrom(...text.split(' '));
const path = fc.oneof(
  words('/notify /strict /report /open/x /gone/x /elsewhere'),
  words('//notify /NOTIFY /%6eotify /open/../notify /x/..;/strict /open/%2e%2e/report /(S(x))/notify'),
);
const line = fc
  .constantFrom(
    ...['X-Forwarded-Prefix: /shop', 'X-Original-URL: /notify', 'X_Under: a', 'Host: b', 'Connection: host'],
    ...['Content-Length: 9999', 'Content-Length: 9a', `X-Large: ${'x'.repeat(20_000)}`, 'X-Plain: a'],
    ...['Entrupy-Signature: SHA256:short', 'Entrupy-Signature: MD5:x', 'Entrupy.Signature: x'],
  )
  .map((text) => text.split(/: (.*)/s));
const request = fc.record({
  method: fc.constantFrom('POST', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'PURGE', 'FOO', 'GET-IT'),
  target: fc.tuple(path, fc.constantFrom('', '', '?a=b', '?%zz', '#x')).map(([before, after]) => before + after),
  lines: fc.array(line, { maxLength: 2 }),
});

/** The last line that begins with `=> `, as a status, or `forwarded`, or `reported` with its reason. */
async function explained(method: string, target: string, lines: Lines): Promise<string> {
  const headers = lines.flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const { stdout, stderr } = await ran(run, [method, target, '--config', on.proxy.configFile, ...headers]);
  const said = stdout.split('\n').findLast((text) => text.startsWith('=> ')) ?? stderr;
  const [, reported] = /^=> forwarded, reported as (\w+)/.exec(said) ?? [];
  if (reported !== undefined) return `reported ${reported}`;
  return /^=> (?:verified|forwarded)/.test(said) ? 'forwarded' : (/^=> (\d+ \w+)/.exec(said)?.[1] ?? said);
}

/** The decision and reason of the one request that was counted since `before`. */
async function counted(before: ReadonlyMap<string, number>): Promise<{ decision: string; reason: string }> {
  const now = await on.proxy.metrics();
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
  const before = await on.proxy.metrics();
  const { status } = await exchange(on.proxy.port, head.join('\r\n') + body);
  await untilAtRest(on.proxy);
  const { decision, reason } = await counted(before);
  if (decision === 'rejected') return `${status} ${reason}`;
  expect(status).toBe(200);
  return decision === 'reported' ? `reported ${reason}` : 'forwarded';
}

test('explain says of any request what the proxy does with it', async () => {
  await fuzz(request, async ({ method, target, lines }) => {
    expect(await done(method, target, lines)).toBe(await explained(method, target, lines));
  });
});
