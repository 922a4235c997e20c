// Who may use the admin port: it has no login.
import { inRanges } from '../base/address-ranges.ts';
import { valuesOf } from '../core/header-lines.ts';

/**
 * True for a browser's request that another site caused; tools do not send these headers. The port has no login, so a
 * foreign page that makes a browser send `POST /-/reload` (CSRF), or a name that resolves to this address (DNS
 * rebinding), must change nothing.
 */
export function isForeign(method: string, lines: readonly string[]): boolean {
  const sites = valuesOf(lines, 'sec-fetch-site');
  if (sites.some((site) => site !== 'same-origin' && site !== 'none')) return true;
  const [host] = valuesOf(lines, 'host');
  const sources = [...valuesOf(lines, 'origin'), ...valuesOf(lines, 'referer')];
  // A page's GET may tell nothing: Sec-Fetch headers go only to trustworthy addresses, and a Referer can be left out.
  if (method === 'GET' && sources.length === 0 && sites.length === 0) {
    return /^Mozilla\//.test(valuesOf(lines, 'user-agent').join()) || !isOwnAddress(`http://${host}`, host);
  }
  return sources.some((source) => !isOwnAddress(source, host));
}

/** False for every name but localhost: an attacker's name that resolves here is same-origin with itself. */
function isOwnAddress(source: string, host: string | undefined): boolean {
  const url = URL.parse(source);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  return url.hostname === 'localhost' || url.hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname);
}

/**
 * True if the client may use the actions: loopback always, and everyone if no network is configured. In that case any
 * pod of a cluster can drain this one.
 */
export function mayAct(client: string, networks: readonly string[]): boolean {
  return networks.length === 0 || inRanges(['127.0.0.0/8', '::1/128', ...networks])(client);
}
