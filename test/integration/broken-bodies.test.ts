// A broken body never becomes a whole request.
// A client that disconnects mid-body, or sends malformed chunks. The upstream must see a broken request on a connection
// that is never reused. A client that is still connected gets a response.
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const OPEN = 'POST /open HTTP/1.1\r\nHost: h\r\n';
const NOTIFY = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, 'abc')}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';

const on = shared(startLenientUpstream, {
  upstream: { keepAlive: '30s' },
  routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
  log: { requests: 'all' },
});
beforeEach(() => {
  on.upstream.seen.length = 0;
});

/** Requests from an earlier test must not reach this one. */
async function expectNextIntact(): Promise<void> {
  on.upstream.seen.length = 0;
  const response = await exchange(on.proxy.port, 'GET /open HTTP/1.1\r\nHost: next\r\n\r\n');
  expect(response.status).toBe(200);
  expect(on.upstream.seen.map(({ raw }) => raw.toString('latin1'))).toEqual([
    'GET /open HTTP/1.1\r\nHost: next\r\n\r\n',
  ]);
}

describe('malformed chunks', () => {
  test.each([
    ['a bad size', '3\r\nabc\r\nzz\r\n'],
    ['an overlong chunk', '3\r\nabcd\r\n0\r\n\r\n'],
    ['a length in the trailers', '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['a bad trailer', '3\r\nabc\r\n0\r\nx\r\n\r\n'],
  ])('%s, on an open route', async (_name, body) => {
    const response = await exchange(on.proxy.port, `${OPEN}${CHUNKED}${body}`);
    expect([response.status, response.body.toString()]).toEqual([400, '{"error":"bad_request"}']);
    expect(on.upstream.list()).toEqual([]);
    await expectNextIntact();
  });

  test('later in the body, on an open route', async () => {
    const client = await sendTo(on.proxy, `${OPEN}${CHUNKED}3\r\nabc\r\n`);
    await client.send('zz\r\n');
    expect((await client.response()).status).toBe(400);
    client.destroy();
    expect(on.upstream.list()).toEqual([]);
    await expectNextIntact();
  });
});

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
