// A server of a test, on the loopback.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export type Listening = Awaited<ReturnType<typeof listening>>;

/** Resolves once it listens, on a free port unless one is given, or the path of a Unix socket. */
export async function listening(server: Server, where: number | string = 0, host = '127.0.0.1') {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await once(server.listen(typeof where === 'string' ? { path: where } : { port: where, host }), 'listening');
  const address = server.address() as AddressInfo | string;
  return {
    /** 0 for a Unix socket. */
    port: typeof address === 'string' ? 0 : address.port,
    /** The currently open ones. */
    sockets: sockets as ReadonlySet<Socket>,
    /** Ends its connections, too. */
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The two ends of a connection; it is closed with the test. */
export async function socketPair(): Promise<readonly [near: Socket, far: Socket]> {
  const server = createServer();
  const { port, close } = await listening(server);
  onTestFinished(close);
  const near = connect(port, '127.0.0.1');
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  return [near, far];
}
