// A `test` with numbered deliveries to upstreams on raw sockets, which can tell them apart. All ends with the test.

import { delivery as signed } from '../http/requests.ts';
import { test as base, endAll, value } from '../proxy/proxied.ts';
import type { RunningProxy } from '../proxy/proxy.ts';
import { type RawUpstream, startRawUpstream } from '../upstream/raw-upstream.ts';

interface Fixtures {
  /** Starts one on a free loopback port, or on the path of a unix socket. */
  readonly upstreamHere: (path?: string) => Promise<RawUpstream>;
  /** `settings` are those of `upstream`. `/notify` is verified, `/open` is forwarded. */
  readonly proxyTo: (url: string, settings?: object) => Promise<RunningProxy>;
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  upstreamHere: ({}, use) => endAll(use, startRawUpstream, (upstream) => upstream.close()),
  proxyTo: async ({ start }, use) =>
    use((url, settings = {}) =>
      start({
        upstream: { url, keepAlive: '30s', retryConnectFor: '30s', ...settings },
        routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
      }),
    ),
});

/** A delivery with its own number. */
export function delivery(id: number): string {
  const body = `{"id":${id}}`;
  return signed(body, value('a'), { lines: [`X-Id: ${id}`] });
}

/** The numbers of the deliveries that arrived, sorted. */
export const idsOf = (upstream: RawUpstream) =>
  upstream.heads.map((head) => Number(/^X-Id: (\d+)/m.exec(head)?.[1])).sort((a, b) => a - b);

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** For `untilMetrics` with `requests_in_flight`. */
export const waiting = (count: number) => (found: readonly number[]) => found[0] === count;
