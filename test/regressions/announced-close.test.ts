// A connection that closes says so.
// Bug, found by the wire fuzzer: it sent `Expect: 100-continue` with a body right behind it, and another request behind
// that. node closes a connection whose expectation got a final response instead of 100, but the response did not say
// so. The request behind it was started, counted and never answered. A delivery would have been delivered twice.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { forged, SECRET, signed } from '../conformance/wire-case.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { get } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeEach(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }] },
    secrets: { current: SECRET },
  });
});
afterEach(async () => {
  await proxy?.stop();
  await upstream?.close();
});

const EXPECT = ['Expect: 100-continue'];

/** Reads responses until one closes the connection, or until both requests have theirs. */
async function answers(client: RawClient): Promise<number[]> {
  const statuses: number[] = [];
  while (statuses.length < 2) {
    const response = await client.responseOrClose();
    if (response === null) expect.fail(`closed without a word after ${statuses}`);
    statuses.push(response.status);
    if (values(response.lines, 'connection').includes('close')) break;
  }
  return statuses;
}

test.each([
  ['a refused expectation', forged('abc', { lines: EXPECT }), 401],
  ['a refused expectation on another method', `${get('/notify', ['Content-Length: 3', ...EXPECT])}abc`, 405],
  ['an empty delivery with an expectation', signed('', { lines: EXPECT }), 200],
  ['a forwarded request without a body, with an expectation', get('/open', EXPECT), 200],
  ['a delivery with Connection: close', signed('', { lines: ['Connection: close'] }), 200],
  ['a delivery over HTTP/1.0', signed('').replace('HTTP/1.1', 'HTTP/1.0'), 200],
])('%s', async (_name, request, status) => {
  const client = await openClient({ port: proxy.port });
  await client.send(request + signed('behind it'));
  const statuses = await answers(client);
  expect(statuses[0]).toBe(status);
  client.destroy();
  await expect.poll(async () => (await proxy.metrics()).get('entrupy_proxy_connections')).toBe(0);
  const counted = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_requests_total{'));
  expect(counted.reduce((sum, [, count]) => sum + count, 0)).toBe(statuses.length);
  const deliveries = upstream.list().filter((line) => line.endsWith('behind it'));
  expect(deliveries).toHaveLength(statuses.length - 1);
});
