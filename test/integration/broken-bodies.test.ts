// A broken body never becomes a whole request.
// A client that disconnects mid-body, or sends malformed chunks. The upstream must see a broken request on a connection
// that is never reused. A client that is still connected gets a response.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { exchange, openClient } from '../support/http/raw-client.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const SECRET = 'broken-body-secret-0123456789abcdef';
const OPEN = 'POST /open HTTP/1.1\r\nHost: h\r\n';
const NOTIFY = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, 'abc')}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url, keepAlive: '30s' },
      routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
      log: { requests: 'all' },
    },
    secrets: { current: SECRET },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});
beforeEach(() => {
  upstream.seen.length = 0;
});

/** Requests from an earlier test must not reach this one. */
async function expectNextIntact(): Promise<void> {
  upstream.seen.length = 0;
  const response = await exchange(proxy.port, 'GET /open HTTP/1.1\r\nHost: next\r\n\r\n');
  expect(response.status).toBe(200);
  expect(upstream.seen.map(({ raw }) => raw.toString('latin1'))).toEqual(['GET /open HTTP/1.1\r\nHost: next\r\n\r\n']);
}

describe('malformed chunks', () => {
  const BROKEN = [
    ['a bad size', '3\r\nabc\r\nzz\r\n'],
    ['an overlong chunk', '3\r\nabcd\r\n0\r\n\r\n'],
    ['a length in the trailers', '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['a bad trailer', '3\r\nabc\r\n0\r\nx\r\n\r\n'],
  ] as const;

  test.each(BROKEN)('%s, on the verified route', async (_name, body) => {
    const response = await exchange(proxy.port, `${NOTIFY}${CHUNKED}${body}`);
    expect([response.status, response.body.toString()]).toEqual([400, '{"error":"bad_request"}']);
    expect(upstream.list()).toEqual([]);
    await expectNextIntact();
  });

  test.each(BROKEN)('%s, on an open route', async (_name, body) => {
    const response = await exchange(proxy.port, `${OPEN}${CHUNKED}${body}`);
    expect([response.status, response.body.toString()]).toEqual([400, '{"error":"bad_request"}']);
    expect(upstream.list()).toEqual([]);
    await expectNextIntact();
  });

  test('later in the body, on an open route', async () => {
    const client = await openClient({ port: proxy.port });
    await client.send(`${OPEN}${CHUNKED}3\r\nabc\r\n`);
    await client.send('zz\r\n');
    expect((await client.response()).status).toBe(400);
    client.destroy();
    expect(upstream.list()).toEqual([]);
    await expectNextIntact();
  });
});

describe('a client that disconnects', () => {
  test.each([
    ['within a length, on an open route', `${OPEN}Content-Length: 10\r\n\r\nabc`],
    ['between chunks, on an open route', `${OPEN}${CHUNKED}3\r\nabc\r\n`],
    ['within a length, on the verified route', `${NOTIFY}Content-Length: 3\r\n\r\nab`],
    ['between chunks, on the verified route', `${NOTIFY}${CHUNKED}3\r\nabc\r\n`],
  ])('%s', async (_name, bytes) => {
    for (const leave of ['destroy', 'end'] as const) {
      const before = proxy.logs().filter(({ msg }) => msg === 'request').length;
      const client = await openClient({ port: proxy.port });
      await client.send(bytes);
      client[leave]();
      await proxy.waitForLog(
        (line) => line.msg === 'request' && proxy.logs().filter(({ msg }) => msg === 'request').length > before,
        'the end of the request',
      );
      client.destroy();
      expect(upstream.list()).toEqual([]);
      await expectNextIntact();
      upstream.seen.length = 0;
    }
  });
});
