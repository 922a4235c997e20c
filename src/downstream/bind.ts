// Binds a server to its address. It must never fall back for any reason but a machine without IPv6: a port that is
// taken is the operator's to know.
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { codeOf } from '../wire/sockets.ts';

/** The default of 511 drops SYNs under a flood, and each of them costs its client a second. */
const BACKLOG = 4096;

/**
 * Listens and gives the port, which matters where 0 was asked for. `::` is dual-stack, and IPv4 alone where there is no
 * IPv6. Rejects with the system's error, `EADDRINUSE` for one.
 */
export async function bind(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port, backlog: BACKLOG });
  try {
    await once(server, 'listening');
  } catch (error) {
    const noIpv6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(codeOf(error));
    if (host !== '::' || !noIpv6) throw error;
    return bind(server, '0.0.0.0', port);
  }
  return (server.address() as AddressInfo).port;
}
