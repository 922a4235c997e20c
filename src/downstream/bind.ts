// Binds a server to its address. It falls back to IPv4 only on a machine without IPv6: a port that is in use must be
// reported to the operator.
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { codeOf } from '../wire/sockets.ts';

/** The default of 511 drops SYNs under a flood, and each dropped SYN costs its client a second. */
const BACKLOG = 4096;

/**
 * Listens and gives the port, which is needed if 0 was requested. `::` is dual-stack; IPv4 alone if there is no IPv6.
 * Rejects with the system's error, such as `EADDRINUSE`.
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
