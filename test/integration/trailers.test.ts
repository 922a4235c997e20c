// Trailers on both sides. A server that merges trailers into headers would take a target, a signature or a length from
// one after the verdict, so such a trailer must not arrive. Each row is one line, so a failure names it.
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { values } from '../support/http/response-parser.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const CHUNKED = 'Transfer-Encoding: chunked';

/** Headers that the gate refuses, and those that frame, route or authenticate (RFC 9110 6.5.1). */
const TRUSTED = [
  ...['X-Original-URL: /notify', 'x-rewrite-url: /notify', 'X-HTTP-Method-Override: PUT', 'X-Forwarded-Prefix: /a'],
  ...[`Entrupy-Signature: ${sign(SECRET, 'abc')}`, 'entrupy_signature: SHA256:x', 'Entrupy.Signature: SHA256:x'],
  ...['Host: other', 'X_Y: 1', 'SCRIPT_NAME: /open', 'Content-Length: 3', 'Transfer-Encoding: chunked'],
  ...['Authorization: Basic Og==', 'Proxy-Authorization: Basic Og==', 'Cookie: a=1', 'Connection: close'],
] as const;

const on = shared(startLenientUpstream, {
  routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }],
  unmatched: 'reject',
});
beforeEach(() => {
  on.upstream.seen.length = 0;
  on.upstream.answer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
});

/** Sends a chunked request with these lines and trailers; returns what the upstream received. */
async function sent(target: string, lines: readonly string[], trailers: readonly string[]) {
  const head = [`POST ${target} HTTP/1.1`, 'Host: h', ...lines, CHUNKED];
  const { status } = await exchange(on.proxy.port, [...head, '', '3', 'abc', '0', ...trailers, '', ''].join('\r\n'));
  return { status, seen: on.upstream.seen[0] };
}

describe('of a request', () => {
  // A trailer that the parser refuses (a length) may give a 400; then the upstream got no complete request.
  test.each(TRUSTED)('%s does not arrive', async (line) => {
    const { status, seen } = await sent('/open', [], ['X-Before: 1', line, 'X-After: 2']);
    if (status === 400) expect(seen).toBeUndefined();
    else expect([status, seen?.trailers]).toEqual([200, ['X-Before: 1', 'X-After: 2']]);
    const behindHeads = on.upstream
      .leftovers()
      .map((bytes) => bytes.toString('latin1').split('\r\n\r\n').slice(1).join());
    expect(behindHeads.join()).not.toContain(line);
  });

  test('no other field that means something in a head arrives', async () => {
    const fields = [
      ...['Content-Type', 'Forwarded', 'X-Forwarded-For', 'X-Real-IP', 'Cookie2', 'Set-Cookie', 'Set.Cookie2'],
      ...['WWW-Authenticate', 'Authentication-Info', 'Cache-Control', 'Max-Forwards', 'Pragma', 'Range', 'If-Match'],
      ...['Age', 'Date', 'Expires', 'Location', 'Retry-After', 'Vary', 'Origin', 'Referer'],
    ];
    const { status, seen } = await sent(
      '/open',
      [],
      fields.map((name) => `${name}: 1`),
    );
    expect([status, seen?.trailers]).toEqual([200, []]);
  });

  test('Trailer is dropped when the body is not chunked', async () => {
    const head = ['PUT /open HTTP/1.1', 'Host: h', 'Trailer: X-Checksum', 'Content-Length: 3'];
    await exchange(on.proxy.port, [...head, '', 'abc'].join('\r\n'));
    expect(on.upstream.seen[0]?.lines).toEqual(['Host: h', 'Content-Length: 3', 'Connection: close']);
  });

  test.each([
    ['TE: trailers', ['TE: trailers'], 'TE, close'],
    ['tE:  trailers ', ['tE: trailers'], 'TE, close'],
    ['TE: TRAILERS\r\nConnection: TE', ['TE: TRAILERS'], 'TE, close'],
    ['TE: gzip\r\nTE: trailers', ['TE: trailers'], 'TE, close'],
    ['TE: gzip', [], 'close'],
    ['TE: deflate;q=0.5, gzip', [], 'close'],
  ])('of a chunked request %s arrives, or not', async (line, arrives, options) => {
    const { seen } = await sent('/open', [line], []);
    expect(seen?.lines).toEqual(['Host: h', ...arrives, CHUNKED, `Connection: ${options}`]);
  });

  test('TE from an HTTP/1.0 client is dropped', async () => {
    await exchange(on.proxy.port, 'GET /open HTTP/1.0\r\nHost: h\r\nTE: trailers\r\n\r\n');
    expect(on.upstream.seen[0]?.lines).toEqual(['Host: h']);
  });
});

/** Responds in chunks with these trailers. */
const answerWith = (trailers: readonly string[], lines: readonly string[] = []) =>
  on.upstream.answer(() =>
    ['HTTP/1.1 200 OK', ...lines, CHUNKED, '', '3', 'abc', '0', ...trailers, '', ''].join('\r\n'),
  );

describe('of a response', () => {
  // A trailer that the parser refuses ends in a cut, so the client never sees a complete response.
  test.each(['Content-Length: 3', 'Transfer-Encoding: chunked', 'Connection: close', 'Set-Cookie: a=1'])(
    '%s does not arrive',
    async (line) => {
      answerWith(['X-Before: 1', line, 'X-After: 2']);
      const client = await sendTo(on.proxy, 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n');
      const response = await client.response().catch((error: Error) => error);
      client.destroy();
      if (response instanceof Error) expect(response.message).toContain('within a response');
      else if (response.status !== 502) expect(response.trailers).toEqual(['X-Before: 1', 'X-After: 2']);
    },
  );

  test('Trailer is dropped when the body is not chunked', async () => {
    on.upstream.answer(() => 'HTTP/1.1 200 OK\r\nTrailer: X-Checksum\r\nContent-Length: 2\r\n\r\nok');
    const response = await exchange(on.proxy.port, 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(values(response.lines, 'trailer')).toEqual([]);
  });
});
