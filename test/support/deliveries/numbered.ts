// Numbered deliveries to upstreams on raw sockets, which can tell them apart.
import { delivery as signed } from '../http/requests.ts';
import { value } from '../proxy/proxied.ts';
import type { RawUpstream } from '../upstream/raw-upstream.ts';

/** For `proxyTo`: settings of `upstream`, by default such that nothing ends before the test does. */
export const patient = (settings: object = {}) => ({
  upstream: { keepAlive: '30s', retryConnectFor: '30s', ...settings },
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
