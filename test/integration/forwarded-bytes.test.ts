// The forwarded bytes are the bytes that came, and a broken body never becomes a whole request.
// The request at the upstream and the response at the client, byte by byte on raw sockets; test/conformance has more. Only the framing lines may
// be rewritten: `host` first, then `connection`, `content-length` last. Of a client that disconnects mid-body, or sends
// malformed chunks, the upstream sees no request; one that is still connected gets a response.
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, sendTo } from '../support/http/raw-client.ts';
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
  test.each([
    ['another phrase', '200 Alles gut'],
    ['a phrase in UTF-8', '200 \xe2\x9c\x85 \xf0\x9f\x91\x9c'],
    ['an unusual status', '299 Odd'],
  ])('status line: %s', async (_name, status) => {
    const response = await answered([`HTTP/1.1 ${status}`, 'Content-Length: 0']);
    expect(`${response.status} ${response.reason}`).toBe(status);
  });

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

const OPEN = 'POST /open/x HTTP/1.1\r\nHost: h\r\n';
const NOTIFY = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, 'abc')}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';

/** Requests from an earlier test must not reach this one. */
async function expectNextIntact(): Promise<void> {
  on.upstream.seen.length = 0;
  const next = 'GET /open/next HTTP/1.1\r\nHost: next\r\n\r\n';
  const response = await exchange(on.proxy.port, next);
  expect(response.status).toBe(200);
  expect(on.upstream.seen.map(({ raw }) => raw.toString('latin1'))).toEqual([next]);
}

describe('a client that disconnects', () => {
  test.each([
    ['within a length, on an open route', `${OPEN}Content-Length: 10\r\n\r\nabc`],
    ['between chunks, on an open route', `${OPEN}${CHUNKED}3\r\nabc\r\n`],
    ['within a length, on the verified route', `${NOTIFY}Content-Length: 3\r\n\r\nab`],
    ['between chunks, on the verified route', `${NOTIFY}${CHUNKED}3\r\nabc\r\n`],
  ])('%s, leaves nothing upstream and is logged', async (_name, bytes) => {
    for (const leave of ['destroy', 'end'] as const) {
      const before = on.proxy.logs().filter(({ msg }) => msg === 'request').length;
      const client = await sendTo(on.proxy, bytes);
      client[leave]();
      await on.proxy.waitForLog(
        (line) => line.msg === 'request' && on.proxy.logs().filter(({ msg }) => msg === 'request').length > before,
        'the end of the request',
      );
      client.destroy();
      expect(on.upstream.list()).toEqual([]);
      await expectNextIntact();
      on.upstream.seen.length = 0;
    }
  });
});
