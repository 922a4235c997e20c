// A server of a test, on the loopback.
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

export interface Listening {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** The currently open ones. */
  readonly sockets: ReadonlySet<Socket>;
  /** Ends its connections, too. */
  close(): Promise<void>;
}

/** Resolves once it listens, on a free port unless one is given, or the path of a Unix socket. */
export async function listening(server: Server, where: number | string = 0): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await once(
    server.listen(typeof where === 'string' ? { path: where } : { port: where, host: '127.0.0.1' }),
    'listening',
  );
  const address = server.address() as AddressInfo | string;
  return {
    port: typeof address === 'string' ? 0 : address.port,
    sockets,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
