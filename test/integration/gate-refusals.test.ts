// A refusal by the gate names the rule and the header.
// The gate refuses a signed delivery. The operator learns which rule and header refused it and what would let it
// through. The client learns nothing, and no header value is shown anywhere.
import { expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import type { LogLine } from '../support/machine/child-output.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';

const BODY = '{"event":1}';
const VALUE = '/shown-to-nobody';

const signed = (target: string, ...lines: string[]) => delivery(BODY, value('a'), { target, lines });

test('the log, /api/status and the page name them', async ({ start }) => {
  const proxy = await start({ routes: [{ path: '/notify', query: 'refuse' }], limits: { maxHeader: '2KiB' } });
  const sent: readonly (readonly [string, object])[] = [
    [signed('/notify', `X-Forwarded-Prefix: ${VALUE}`), { rule: 'route-headers', header: 'x-forwarded-prefix' }],
    [signed('/notify', `X_Trace: ${VALUE}`), { rule: 'route-headers', header: 'x_trace' }],
    [signed(`/notify?token=${VALUE}`), { rule: 'query' }],
    [signed('/notify', `Expect: ${VALUE}`), { rule: 'expectation', header: 'expect' }],
    ['POST /notify HTTP/1.1\r\nNo colon\r\n\r\n', { rule: 'parser' }],
    [signed('/notify', `X-Long: ${'x'.repeat(4000)}`), { rule: 'head-size' }],
  ];
  for (const [request, fields] of sent) {
    const client = await sendTo(proxy, request);
    const answer = (await client.rest()).toString('latin1');
    expect(answer).toMatch(/^HTTP\/1\.1 4(?:00|31) /);
    expect(answer).not.toMatch(/rule|x_trace|prefix/i);
    const isIt = (line: LogLine) => Object.entries(fields).every(([name, wanted]) => line[name] === wanted);
    const line = await proxy.waitForLog(isIt, JSON.stringify(fields));
    expect(line).toMatchObject({ msg: 'request', level: 'warn', decision: 'rejected', ...fields });
  }
  const status = await (await fetch(`${proxy.adminUrl}/api/status`)).text();
  const { refusals } = JSON.parse(status) as {
    refusals: { rule: string; header: string | null; hint: string | null }[];
  };
  for (const [, fields] of sent) expect(refusals).toContainEqual(expect.objectContaining(fields));
  const hints = refusals.flatMap(({ hint }) => hint ?? []);
  expect(hints).toContainEqual(expect.stringContaining('allowHeaders: [x-forwarded-prefix]'));
  const page = await (await fetch(proxy.adminUrl)).text();
  expect(page).toContain('(rule route-headers, header x-forwarded-prefix)');
  expect(page).toContain('allowHeaders: [x-forwarded-prefix]');
  for (const text of [status, page, proxy.output()]) expect(text).not.toContain(VALUE);
});

test('a refused query counts for its route, before its method and in report mode', async ({ start, upstream }) => {
  const proxy = await start({ routes: [{ path: '/notify', query: 'refuse', mode: 'report' }] });
  const response = await fetch(`${proxy.url}/notify?a`, { method: 'PUT', body: 'x' });
  expect([response.status, await response.text()]).toEqual([400, '{"error":"bad_request"}']);
  const series = 'entrupy_proxy_requests_total{route="/notify",decision="rejected",reason="bad_request"}';
  await eventually(async () => (await proxy.metrics()).get(series), 1);
  expect(upstream.requests).toEqual([]);
});
