// The address at which someone on this host, or in this container, reaches a listener of the proxy.
import { isIP } from 'node:net';

const LOOPBACK = '127.0.0.1';

/** `http://127.0.0.1:9464/` for a listener on all interfaces, else its own address. */
export function localUrl(host: unknown, port: number): URL {
  const url = new URL(`http://${LOOPBACK}/`);
  url.hostname = reachable(host);
  url.port = String(port);
  return url;
}

function reachable(host: unknown): string {
  if (typeof host !== 'string' || /^(?:|0\.0\.0\.0|[0:]+)$/.test(host)) return LOOPBACK;
  return isIP(host) === 6 ? `[${host}]` : host;
}
