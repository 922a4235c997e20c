// The traffic port of the prototype: plain TCP, with a tick for all deadlines instead of a timer for each.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Connection, type Services } from './connection.ts';

const TICK_MS = 250;
const MOST_CONNECTIONS = 1024;

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

export function listen(services: Services, port: number): Promise<Listening> {
  const { clock } = services;
  const connections = new Map<Socket, Connection>();
  // Half-open, or the end of a client's bytes would take the answer with it.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.set(socket, new Connection(socket, services));
    socket.once('close', () => connections.delete(socket));
  });
  server.maxConnections = MOST_CONNECTIONS;
  const tick = setInterval(() => {
    clock.now += TICK_MS;
    for (const connection of connections.values()) if (connection.deadline < clock.now) connection.expire();
  }, TICK_MS);
  tick.unref();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => {
          clearInterval(tick);
          for (const socket of connections.keys()) socket.destroy();
          return new Promise((closed) => server.close(() => closed()));
        },
      });
    });
  });
}
