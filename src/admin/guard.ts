// Keeps browsers from acting for somebody else on the admin port: it has no login, so a page elsewhere that makes a
// browser send `POST /-/reload` (CSRF), or a name that resolves to this address (DNS rebinding), must change nothing.
import { BlockList, isIP, isIPv4 } from 'node:net';

/** True where the request bears the marks of a browser that another site has sent. Tools bear none of them. */
export function isForeign(headers: ReadonlyMap<string, string>): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  for (const source of [headers.get('origin'), headers.get('referer')]) {
    if (source !== undefined && !isOwnAddress(source, headers.get('host'))) return true;
  }
  return false;
}

/** A rebound name is same-origin with itself: only an address, or localhost, cannot be anybody else's. */
function isOwnAddress(source: string, host: string | undefined): boolean {
  const url = URL.parse(source);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  return url.hostname === 'localhost' || url.hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname);
}

/**
 * True where the address may use the actions: loopback always, anybody where no network is configured. Without networks any
 * pod of a cluster can drain this one.
 */
export function mayAct(address: string, networks: readonly string[]): boolean {
  if (networks.length === 0) return true;
  // A dual-stack socket shows an IPv4 client as ::ffff:10.0.0.1, which no IPv4 network would hold.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (isIP(plain) === 0) return false;
  const allowed = new BlockList();
  for (const network of ['127.0.0.0/8', '::1/128', ...networks]) {
    const [base = '', prefix] = network.split('/');
    allowed.addSubnet(base, Number(prefix), isIPv4(base) ? 'ipv4' : 'ipv6');
  }
  return allowed.check(plain, isIPv4(plain) ? 'ipv4' : 'ipv6');
}
