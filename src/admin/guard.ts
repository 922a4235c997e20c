// Clients that may act on the admin port. It has no login, so a page elsewhere that makes a browser send
// `POST /-/reload` (CSRF), or a name that resolves to this address (DNS rebinding), must change nothing.
import { inRanges } from '../downstream/client-address.ts';

/** True for a request with the headers of a browser that another site has sent. Tools send none of them. */
export function isForeign(headers: ReadonlyMap<string, string>): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  for (const source of [headers.get('origin'), headers.get('referer')]) {
    if (source !== undefined && !isOwnAddress(source, headers.get('host'))) return true;
  }
  return false;
}

/** A rebound name is same-origin with itself: only an address or localhost cannot belong to somebody else. */
function isOwnAddress(source: string, host: string | undefined): boolean {
  const url = URL.parse(source);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  return url.hostname === 'localhost' || url.hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname);
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'];

/**
 * True where the client may use the actions: loopback always, everybody where no network is configured. Without
 * networks, any pod of a cluster can drain this one.
 */
export function mayAct(client: string, networks: readonly string[]): boolean {
  return networks.length === 0 || inRanges([...LOOPBACK, ...networks])(client);
}
