// The request at the upstream and the response at the client, byte by byte on raw sockets; test/conformance has more. A server
// that merges trailers into headers would take a target, a signature or a length from one after the verdict, so such a
// trailer must not arrive.
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const on = shared(startLenientUpstream, {
  upstream: { keepAlive: '30s' },
  routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
  unmatched: 'reject',
});
beforeEach(() => {
  on.upstream.seen.length = 0;
  on.upstream.answer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
});

const get = (method = 'GET') => `${method} /open/x HTTP/1.1\r\nHost: h\r\n\r\n`;

/** Responds with these lines and this body; returns the client's view. */
async function answered(head: readonly string[], body = '', method = 'GET') {
  on.upstream.answer(() => `${head.join('\r\n')}\r\n\r\n${body}`);
  return exchange(on.proxy.port, get(method), { head: method === 'HEAD' });
}

describe('the response', () => {
  test('a length loses its leading zeros, which some clients read as octal', async () => {
    const { lines, body } = await answered(['HTTP/1.1 200 OK', 'Content-Length: 010'], 'abcdefghij');
    expect([lines, body.toString()]).toEqual([['Content-Length: 10'], 'abcdefghij']);
  });

  test('informational ones come first, unchanged', async () => {
    on.upstream.answer(() =>
      [
        ...['HTTP/1.1 103 Early Hints', 'Link: </a>; rel=preload', 'link: </b>', '', 'HTTP/1.1 103 Early Hints'],
        ...['X-Second: 1', '', 'HTTP/1.1 200 OK', 'Content-Length: 2', '', 'ok'],
      ].join('\r\n'),
    );
    const response = await exchange(on.proxy.port, get());
    expect(response.informational.map(({ status, lines }) => [status, lines])).toEqual([
      [103, ['Link: </a>; rel=preload', 'link: </b>']],
      [103, ['X-Second: 1']],
    ]);
    expect(response.status).toBe(200);
  });

  test('an HTTP/1.0 client gets neither chunks nor informational responses, and the end of its connection', async () => {
    on.upstream.answer(() =>
      [
        ...['HTTP/1.1 103 Early Hints', 'Link: </a>', ''],
        ...['HTTP/1.1 200 OK', 'X-A: 1', 'Transfer-Encoding: chunked', '', '3', 'abc', '0', 'X-Sum: 1', '', ''],
      ].join('\r\n'),
    );
    const client = await sendTo(on.proxy, 'GET /open/x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n');
    expect((await client.rest()).toString()).toBe('HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\nabc');
  });

  test.each([
    ['HEAD', '200 OK', ['Content-Length: 12345', 'X-A: 1'], null],
    ['HEAD', '404 Not Found', ['Content-Type: a'], null],
    ['GET', '204 No Content', ['X-A: 1'], null],
    ['GET', '304 Not Modified', ['ETag: "a"'], null],
    ['GET', '304 Not Modified', ['Content-Length: 77'], null],
    // RFC 9110 8.6: a client may wait for a body that no 204 has.
    ['GET', '204 No Content', ['Content-Length: 7', 'X-A: 1'], ['X-A: 1']],
    ['HEAD', '204 No Content', ['Content-Length: 7', 'X-A: 1'], ['X-A: 1']],
    ['GET', '204 No Content', ['content-length: 0', 'X-A: 1'], ['X-A: 1']],
    ['GET', '204 No Content', ['Transfer-Encoding: chunked', 'X-A: 1'], ['X-A: 1']],
  ])('one without a body: to %s, %s %j', async (method, status, lines, left) => {
    const response = await answered([`HTTP/1.1 ${status}`, ...lines], '', method);
    expect(response.lines).toEqual(left ?? lines);
    expect(response.body.length).toBe(0);
  });

  test('hop-by-hop headers and those that Connection names are dropped', async () => {
    const lines = [
      'Connection: X-Gone',
      'X-Gone: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: a',
      'Upgrade: h2c',
      'X-Stays: 1',
    ];
    const response = await answered(['HTTP/1.1 200 OK', ...lines, 'Content-Length: 0']);
    expect(response.lines).toEqual(['X-Stays: 1', 'Content-Length: 0']);
  });
});

const CHUNKED = 'Transfer-Encoding: chunked';
const OPEN = 'POST /open/x HTTP/1.1\r\nHost: h\r\n';
const NOTIFY = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, 'abc')}\r\n`;
const IN_CHUNKS = `${CHUNKED}\r\n\r\n3\r\nabc\r\n`;

/** Requests from an earlier test must not reach this one. */
async function expectNextIntact(): Promise<void> {
  on.upstream.seen.length = 0;
  const next = 'GET /open/next HTTP/1.1\r\nHost: next\r\n\r\n';
  const response = await exchange(on.proxy.port, next);
  expect(response.status).toBe(200);
  expect(on.upstream.seen.map(({ raw }) => raw.toString('latin1'))).toEqual([next]);
}

test.each([
  ['its head', 'POST /notify HTTP/1.1\r\nHost: h\r\nX-In', 'unmatched'],
  ['a length, on an open route', `${OPEN}Content-Length: 10\r\n\r\nabc`, '/open/*'],
  ['its chunks, on an open route', OPEN + IN_CHUNKS, '/open/*'],
  ['a length, on the verified route', `${NOTIFY}Content-Length: 3\r\n\r\nab`, '/notify'],
  ['its chunks, on the verified route', NOTIFY + IN_CHUNKS, '/notify'],
])('a client that leaves within %s, has broken no rule, and leaves nothing upstream', async (_name, bytes, route) => {
  for (const leave of ['destroy', 'end'] as const) {
    const left = () => on.proxy.logs().filter((line) => line.diagnosis === 'front-leaves' && line.route === route);
    const before = left().length;
    const client = await sendTo(on.proxy, bytes);
    client[leave]();
    if (leave === 'end') expect((await client.rest()).toString('latin1')).toMatch(/^HTTP\/1\.1 400 /);
    await eventually(() => left().length, before + 1);
    if (leave === 'end') expect(left().at(-1)).toMatchObject({ status: 400, reason: 'bad_request' });
    expect(left().at(-1)?.rule).toBeUndefined();
    expect(on.upstream.list()).toEqual([]);
    await expectNextIntact();
    on.upstream.seen.length = 0;
  }
});

/** Headers that the gate refuses, and those that frame, route or authenticate (RFC 9110 6.5.1). */
const TRUSTED = [
  ...['X-Original-URL: /notify', 'x-rewrite-url: /notify', 'X-HTTP-Method-Override: PUT', 'X-Forwarded-Prefix: /a'],
  ...[`Entrupy-Signature: ${sign(SECRET, 'abc')}`, 'entrupy_signature: SHA256:x', 'Entrupy.Signature: SHA256:x'],
  ...['Host: other', 'X_Y: 1', 'SCRIPT_NAME: /open', 'Content-Length: 3', 'Transfer-Encoding: chunked'],
  ...['Authorization: Basic Og==', 'Proxy-Authorization: Basic Og==', 'Cookie: a=1', 'Connection: close'],
] as const;

/** Sends a chunked request with these lines and trailers; returns what the upstream received. */
async function sent(lines: readonly string[], trailers: readonly string[]) {
  const head = ['POST /open/x HTTP/1.1', 'Host: h', ...lines, CHUNKED];
  const { status } = await exchange(on.proxy.port, [...head, '', '3', 'abc', '0', ...trailers, '', ''].join('\r\n'));
  return { status, seen: on.upstream.seen[0] };
}

describe('trailers of a request', () => {
  // A trailer that the parser refuses (a length) may give a 400; then the upstream got no complete request.
  test.each(TRUSTED)('%s does not arrive', async (line) => {
    const { status, seen } = await sent([], ['X-Before: 1', line, 'X-After: 2']);
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
      [],
      fields.map((name) => `${name}: 1`),
    );
    expect([status, seen?.trailers]).toEqual([200, []]);
  });

  test.each([
    ['TE: TRAILERS\r\nConnection: TE', ['TE: TRAILERS'], 'TE, close'],
    ['TE: gzip\r\nTE: trailers', ['TE: trailers'], 'TE, close'],
    ['TE: deflate;q=0.5, gzip', [], 'close'],
  ])('of a chunked request %s arrives, or not', async (line, arrives, options) => {
    const { seen } = await sent([line], []);
    expect(seen?.lines).toEqual(['Host: h', ...arrives, CHUNKED, `Connection: ${options}`]);
  });

  test('TE from an HTTP/1.0 client is dropped', async () => {
    await exchange(on.proxy.port, 'GET /open/x HTTP/1.0\r\nHost: h\r\nTE: trailers\r\n\r\n');
    expect(on.upstream.seen[0]?.lines).toEqual(['Host: h']);
  });
});

describe('trailers of a response', () => {
  // A trailer that the parser refuses ends in a cut, so the client never sees a complete response.
  test.each(['Content-Length: 3', 'Transfer-Encoding: chunked', 'Connection: close', 'Set-Cookie: a=1'])(
    '%s does not arrive',
    async (line) => {
      const trailers = ['X-Before: 1', line, 'X-After: 2'];
      on.upstream.answer(() => ['HTTP/1.1 200 OK', CHUNKED, '', '3', 'abc', '0', ...trailers, '', ''].join('\r\n'));
      const client = await sendTo(on.proxy, get());
      const response = await client.response().catch((error: Error) => error);
      client.destroy();
      if (response instanceof Error) expect(response.message).toContain('within a response');
      else if (response.status !== 502) expect(response.trailers).toEqual(['X-Before: 1', 'X-After: 2']);
    },
  );

  test('Trailer is dropped when the body is not chunked', async () => {
    const lines = ['Trailer: X-Checksum', 'Content-Length: 2'];
    expect((await answered(['HTTP/1.1 200 OK', ...lines], 'ok')).lines).toEqual(lines.slice(1));
  });
});
