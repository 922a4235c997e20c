// What is known of a client's connection, kept on its socket.
import type { Socket } from 'node:net';
import type { Exchange } from './exchange.ts';

export interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** Milliseconds on the monotonic clock. */
  readonly openedAt: number;
  /** Requests on it that have not ended, in their order; more than one where the client pipelines. */
  readonly active: Exchange[];
  /** The one whose head came last. */
  latest: Exchange | null;
  /** Bytes that no parser takes came in: it ends when what is in flight on it has ended. */
  broken: boolean;
  /** A response has said `Connection: close`: what follows on it is not a request any more (RFC 9112 9.6). */
  closing: boolean;
  /** True where responses from now on must say so. */
  readonly mustClose: (connection: Connection) => boolean;
  /** Milliseconds that a client may leave bytes for it unread; 0 is off. */
  stallTimeout: number;
  /** When it last had nothing in flight; milliseconds on the monotonic clock. */
  idleSince: number;
  /** It ends at this moment whatever the client does: an answer to bytes that no parser takes has been given. */
  closeAt: number;
  /** Bytes that the system took for the client, and when that last changed. */
  taken: number;
  takenAt: number;
}

/** For answers of ours, and until a route says otherwise. */
const STALL_MS = 30_000;

const KEY = Symbol('connection');
type Carrier = Socket & { [KEY]?: Connection };

export function openConnection(socket: Socket, mustClose: Connection['mustClose'] = () => true): Connection {
  const now = performance.now();
  const connection: Connection = {
    socket,
    address: plainAddress(socket.remoteAddress ?? ''),
    openedAt: now,
    active: [],
    latest: null,
    broken: false,
    closing: false,
    mustClose,
    stallTimeout: STALL_MS,
    idleSince: now,
    closeAt: Number.POSITIVE_INFINITY,
    taken: 0,
    takenAt: now,
  };
  (socket as Carrier)[KEY] = connection;
  return connection;
}

export function connectionOf(socket: Socket): Connection {
  return (socket as Carrier)[KEY] ?? openConnection(socket);
}

/** How long a client may go on writing after the last answer. */
const LAST_MS = 2000;

/** Ends a connection that can carry no request any more. A reset while its client writes would take the answer with it. */
export function endInBounds(connection: Connection): void {
  connection.closing = true;
  connection.closeAt = performance.now() + LAST_MS;
  connection.socket.end();
}

/**
 * True for a client that has left bytes unread for `stallTimeout`. To be asked about twice a second: a timer for each write
 * would cost each response, and one that only runs while an upstream is paused would miss the end of every body.
 */
export function hasStalled(connection: Connection, now: number): boolean {
  const { socket, stallTimeout } = connection;
  const taken = socket.bytesWritten - socket.writableLength;
  if (socket.writableLength === 0 || taken !== connection.taken) {
    connection.taken = taken;
    connection.takenAt = now;
    return false;
  }
  return stallTimeout > 0 && now - connection.takenAt >= stallTimeout;
}

/** `::ffff:10.0.0.1` is how a dual-stack listener spells 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
