// The operator learns which rule and header refused a signed delivery and what would let it through. The client learns
// nothing but its status, which it has time to read though it is still writing.
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import type { LogLine } from '../support/machine/child-output.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const on = shared(startStreamingUpstream, {
  routes: [
    { path: '/notify', query: 'refuse' },
    { path: '/watched', query: 'refuse', mode: 'report' },
    { path: '/open/*', action: 'forward' },
  ],
  limits: { maxHeader: '2KiB', headersTimeout: '5m' }, // for a head that comes byte by byte
});

const VALUE = '/shown-to-nobody';
const gated = (target: string, ...lines: string[]) => delivery('{"event":1}', SECRET, { target, lines });

test('the log, /api/status and the page name them', async () => {
  const { proxy } = on;
  const sent: readonly (readonly [string, object])[] = [
    [gated('/notify', `X-Forwarded-Prefix: ${VALUE}`), { rule: 'route-headers', header: 'x-forwarded-prefix' }],
    [gated('/notify', `X_Trace: ${VALUE}`), { rule: 'route-headers', header: 'x_trace' }],
    [gated(`/notify?token=${VALUE}`), { rule: 'query' }],
    [gated('/notify', `Expect: ${VALUE}`), { rule: 'expectation', header: 'expect' }],
    ['POST /notify HTTP/1.1\r\nNo colon\r\n\r\n', { rule: 'parser' }],
    [gated('/notify', `X-Long: ${'x'.repeat(4000)}`), { rule: 'head-size' }],
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
  const { refusals, descriptors } = JSON.parse(status) as {
    descriptors: { open: number };
    refusals: { rule: string; header: string | null; hint: string | null }[];
  };
  expect(descriptors.open).toBeGreaterThan(0); // nobody scraped, and the first look is to come
  for (const [, fields] of sent) expect(refusals).toContainEqual(expect.objectContaining(fields));
  const hints = refusals.flatMap(({ hint }) => hint ?? []);
  expect(hints).toContainEqual(expect.stringContaining('allowHeaders: [x-forwarded-prefix]'));
  const page = await (await fetch(proxy.adminUrl)).text();
  expect(page).toContain('(rule route-headers, header x-forwarded-prefix)');
  expect(page).toContain('allowHeaders: [x-forwarded-prefix]');
  for (const text of [status, page, proxy.output()]) expect(text).not.toContain(VALUE);
});

test('a refused query counts for its route, before its method and in report mode', async () => {
  const response = await fetch(`${on.proxy.url}/watched?a`, { method: 'PUT', body: 'x' });
  expect([response.status, await response.text()]).toEqual([400, '{"error":"bad_request"}']);
  const series = 'entrupy_proxy_requests_total{route="/watched",decision="rejected",reason="bad_request"}';
  await eventually(async () => (await on.proxy.metrics()).get(series), 1);
  const asked = 'entrupy_proxy_upstream_duration_seconds_count{route="/watched"}';
  expect((await on.proxy.metrics()).get(asked)).toBe(0);
});

const signed = (framing: string) =>
  `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, '')}\r\n${framing}\r\n\r\n`;

describe('an early refusal reaches a client that is still writing 12 MB', () => {
  const unsigned = (framing: string) => `POST /notify HTTP/1.1\r\nHost: h\r\n${framing}\r\n\r\n`;
  // More than both kernels take.
  const BIG = 12_000_000;
  /** For so long the proxy reads and drops. A client on a busy machine may need longer: then it tries again. */
  const DROPPING_MS = 2000;
  test.each([
    ['401, with a length', unsigned(`Content-Length: ${BIG}`), 401, ''],
    ['401, in chunks', unsigned('Transfer-Encoding: chunked'), 401, `${BIG.toString(16)}\r\n`],
    ['413, declared', signed(`Content-Length: ${BIG}`), 413, ''],
    ['413, counted', signed('Transfer-Encoding: chunked'), 413, `${BIG.toString(16)}\r\n`],
    ['400, the gate', unsigned(`Content-Length: ${BIG}\r\nX_Y: 1`), 400, ''],
    ['400, the parser, in the head', `POST /notify HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n`, 400, ''],
    ['400, the parser, in the body', signed('Transfer-Encoding: chunked'), 400, 'zz\r\n'],
    [
      '400, the parser, in a streamed body',
      'POST /open/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'zz\r\n',
    ],
    ['431', `POST /notify HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20 * 1024)}\r\n\r\n`, 431, ''],
    ['405', unsigned(`Content-Length: ${BIG}`).replace('POST', 'PUT'), 405, ''],
  ])('%s: the answer arrives whole', async (_name, head, status, before) => {
    const piece = Buffer.alloc(1_000_000, 'x');
    const sent = async () => {
      const client = await openClient(on.proxy);
      const begun = performance.now();
      const failed: unknown[] = [];
      client.socket.on('error', (error) => failed.push(error));
      // Most client libraries write the whole body before they read the response.
      client.socket.pause();
      await client.send(head + before);
      for (let sent = 0; sent < BIG; sent += piece.length) await client.send(piece);
      const isLate = performance.now() - begun > DROPPING_MS / 2;
      client.socket.resume();
      const got = await client.responseOrClose().catch(() => null);
      client.end();
      await client.rest();
      await untilAtRest(on.proxy);
      return { got: got?.status, failed, isLate };
    };
    let { got, failed, isLate } = await sent();
    while (isLate && (failed.length > 0 || got !== status)) ({ got, failed, isLate } = await sent());
    expect([got, failed]).toEqual([status, []]);
  });

  test.each([
    ['keeps writing', 'Transfer-Encoding: chunked', '1\r\nx\r\n'],
    ['falls silent', 'Transfer-Encoding: chunked', ''],
    ['lacks the rest of a short body', 'Content-Length: 3', ''],
  ])('a client that %s, and does not end its side, is cut in the end', async (_how, framing, drip) => {
    const client = connect({ port: on.proxy.port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    client.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    client.on('error', () => {});
    client.write(unsigned(framing));
    await once(client, 'end');
    const writing = setInterval(() => client.write(drip), 50);
    await untilMetrics(on.proxy, ['connections'], ([open]) => open === 0).finally(() => clearInterval(writing));
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    client.destroy();
  });
});

// RFC 9110 9.3.2: the answer to HEAD has no body, also where its head is never whole. One that comes too late: test/conformance.
describe('a HEAD that is refused gets no body', () => {
  test.each<[string, string, number]>([
    ['a line without a colon', 'HEAD /notify HTTP/1.1\r\nNo colon\r\n\r\n', 400],
    ['a control character in the target', 'HEAD /\x01 HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a head that is too large', `\r\nHEAD /notify HTTP/1.1\r\nX: ${'x'.repeat(2100)}\r\n\r\n`, 431],
    ['a target that is too long', `HEAD /${'x'.repeat(2100)} HTTP/1.1\r\n`, 431],
    ['a head that its client breaks off', 'HEAD /notify HT', 400],
    ['chunks that are none', 'HEAD /open/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz', 400],
    ['a rule of the gate', 'HEAD /open/x#x HTTP/1.1\r\nHost: h\r\n\r\n', 400],
  ])('for %s, whole or byte by byte', async (_what, bytes, status) => {
    for (const pieces of [[bytes], bytes]) {
      const client = await openClient(on.proxy);
      for (const piece of pieces) await client.send(piece);
      client.end();
      expect((await client.rest()).toString('latin1')).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\\r\\n\\r\\n$`));
    }
  });

  test('but not for another method that begins so', async () => {
    const client = await sendTo(on.proxy, 'HEADER / HTTP/1.1\r\n\r\n');
    expect((await client.response()).body.toString()).toBe('{"error":"bad_request"}');
  });
});
