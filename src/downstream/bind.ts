// Binds a server to its address. It must never fall back for any reason but a machine without IPv6: a port that is taken
// is the operator's to know.
import type { AddressInfo, Server } from 'node:net';

/** The default of 511 drops SYNs under a flood, and each of them costs its client a second. */
const BACKLOG = 4096;

const NO_IPV6: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/**
 * Listens and gives the port, which matters where 0 was asked for. `::` is dual-stack, and IPv4 alone where there is no
 * IPv6. Rejects with the system's error, `EADDRINUSE` for one.
 */
export async function bind(server: Server, host: string, port: number): Promise<number> {
  try {
    return await listenOnce(server, host, port);
  } catch (error) {
    if (host !== '::' || !NO_IPV6.has(codeOf(error))) throw error;
    return listenOnce(server, '0.0.0.0', port);
  }
}

function listenOnce(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      server.removeListener('listening', listening);
      reject(error);
    };
    const listening = () => {
      server.removeListener('error', failed);
      resolve(addressOf(server).port);
    };
    server.once('error', failed);
    server.once('listening', listening);
    server.listen({ host, port, backlog: BACKLOG });
  });
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
