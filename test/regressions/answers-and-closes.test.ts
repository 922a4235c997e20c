// What an answer says of its connection is true of all that comes behind it.
import { beforeEach, describe, expect, test } from 'vitest';
import { forged, signed } from '../conformance/wire-case.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { values } from '../support/http/response-parser.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const on = shared(startLenientUpstream, { routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] });
beforeEach(() => {
  on.upstream.seen.length = 0;
  on.upstream.answer(() => OK);
});

// Bug, found by the wire fuzzer: it sent `Expect: 100-continue` with a body right behind it, and another request behind
// that. node closes a connection whose expectation got a final response instead of 100, but the response did not say so.
// The request behind it was started, counted and never answered. A delivery would have been delivered twice.
describe('a connection that closes says so', () => {
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

  async function requests(): Promise<number> {
    const counted = [...(await on.proxy.metrics())].filter(([name]) =>
      name.startsWith('entrupy_proxy_requests_total{'),
    );
    return counted.reduce((sum, [, count]) => sum + count, 0);
  }

  test.for([
    ['a refused expectation', forged('abc', { lines: EXPECT }), 401],
    ['an empty delivery with an expectation', signed('', { lines: EXPECT }), 200],
    ['a delivery with Connection: close', signed('', { lines: ['Connection: close'] }), 200],
    ['a delivery over HTTP/1.0', signed('').replace('HTTP/1.1', 'HTTP/1.0'), 200],
  ] as const)('%s is answered, as is what follows, or says close', async ([, request, status]) => {
    const before = await requests();
    const client = await sendTo(on.proxy, request + signed('behind it'));
    const statuses = await answers(client);
    expect(statuses[0]).toBe(status);
    client.destroy();
    await expect.poll(async () => (await on.proxy.metrics()).get('entrupy_proxy_connections')).toBe(0);
    expect((await requests()) - before).toBe(statuses.length);
    const deliveries = on.upstream.list().filter((line) => line.endsWith('behind it'));
    expect(deliveries).toHaveLength(statuses.length - 1);
  });
});
