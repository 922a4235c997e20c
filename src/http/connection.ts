// What is known of a client's connection, kept on its socket.
import type { Socket } from 'node:net';
import type { Exchange } from './exchange.ts';

export interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** Milliseconds on the monotonic clock. */
  readonly openedAt: number;
  /** Requests on it that have not ended; more than one where the client pipelines. */
  readonly active: Set<Exchange>;
  /** The one whose head came last. */
  latest: Exchange | null;
  /** Bytes that no parser takes came in: it ends when what is in flight on it has ended. */
  broken: boolean;
  /** A response has said `Connection: close`: what follows on it is not a request any more (RFC 9112 9.6). */
  closing: boolean;
  /** True where responses from now on must say so. */
  readonly mustClose: (connection: Connection) => boolean;
}

const KEY = Symbol('connection');
type Carrier = Socket & { [KEY]?: Connection };

export function openConnection(socket: Socket, mustClose: Connection['mustClose'] = () => true): Connection {
  const connection: Connection = {
    socket,
    address: plainAddress(socket.remoteAddress ?? ''),
    openedAt: performance.now(),
    active: new Set(),
    latest: null,
    broken: false,
    closing: false,
    mustClose,
  };
  (socket as Carrier)[KEY] = connection;
  return connection;
}

export function connectionOf(socket: Socket): Connection {
  return (socket as Carrier)[KEY] ?? openConnection(socket);
}

/** `::ffff:10.0.0.1` is how a dual-stack listener spells 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
