// Ports without a server: one that stays the caller's, for servers that come back on the same port, and one that the
// system never hands out.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** An address where nothing listens: the kernel gives no program a port below 1024 that did not ask for it. */
export const NOBODY = 'http://127.0.0.1:1';

const HOST = '127.0.0.1';
let other: Promise<Server> | undefined;

/**
 * A port that no concurrent test gets while this process lives, whether a server listens on it or not: one end of an
 * idle connection is bound to it. Linux lets a server listen there all the same; elsewhere the port is free, no more.
 */
export async function freePort(): Promise<number> {
  other ??= otherEnd();
  const { port } = (await other).address() as AddressInfo;
  const socket = connect({ host: HOST, port, localAddress: HOST }).unref();
  await once(socket, 'connect');
  const own = (socket.address() as AddressInfo).port;
  if (process.platform !== 'linux') socket.resetAndDestroy();
  return own;
}

async function otherEnd(): Promise<Server> {
  const server = createServer((socket) => socket.unref())
    .listen(0, HOST)
    .unref();
  await once(server, 'listening');
  return server;
}
