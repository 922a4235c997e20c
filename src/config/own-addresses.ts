// An upstream that is the proxy itself, as far as that is known without DNS. The rest shows at the first request: see
// `leadsBack` in upstream/connection-pool.ts.
import { isIP, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';

const LOOPBACK = ['127.0.0.1', '::1'];

/** True if a connection from this machine to the URL is accepted by a listener at `host` and `port`. */
export function reachesListener(
  url: string,
  { host, port }: { readonly host: string; readonly port: number },
): boolean {
  const { protocol = '', hostname = '', port: written = '' } = URL.parse(url) ?? {};
  const usual = { 'http:': '80', 'https:': '443' }[protocol];
  if (usual === undefined || String(port) !== (written || usual)) return false;
  const name = hostname.replace(/^\[|\]$/g, '');
  // Two equal names have the same addresses, whatever these are.
  return name === host.toLowerCase() || ownAddresses(name).some((address) => answersOn(plain(host), address));
}

/** The addresses of this machine that the host leads to; none for a name, and for any other machine's address. */
function ownAddresses(host: string): readonly string[] {
  if (host === 'localhost') return LOOPBACK;
  if (isIP(host) === 0) return [];
  const address = plain(host);
  // Linux connects to the loopback address where no address is given.
  if (address === '0.0.0.0') return ['127.0.0.1'];
  if (address === '::') return ['::1'];
  const isOwn = address.startsWith('127.') || LOOPBACK.includes(address) || isOfInterface(address);
  return isOwn ? [address] : [];
}

const isOfInterface = (address: string) =>
  Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address));

function answersOn(listening: string, address: string): boolean {
  if (listening === '::' || listening === address) return true;
  if (listening === 'localhost') return LOOPBACK.includes(address);
  return listening === '0.0.0.0' && isIP(address) === 4;
}

/** An address in its one spelling, without its zone; an IPv4 address that IPv6 maps as such. Names stay as they are. */
function plain(host: string): string {
  const [address = ''] = host.split('%');
  if (isIP(address) !== 6) return host.toLowerCase();
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=.*\.)/, '');
}
