// The sockets to the upstream: one request at a time on each, the most recently freed is used next, and idle ones are
// closed. An unexpected byte ends its socket: it would be read as the answer to the next request. Verified requests have
// sockets of their own: what an upstream writes late for an unverified one must never become a delivery's answer.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { deadline } from '../base/deadline.ts';
import { dropOldest } from '../base/drop-oldest.ts';
import { TickedSet } from '../wire/ticked-set.ts';
import type { TlsContents } from '../wire/tls-contents.ts';
import { type Address, addressOf } from './address.ts';
import { connectTimeout, connectTo } from './connect.ts';
import { PooledConnection, type Traffic } from './pooled-connection.ts';
import type { UpstreamOptions } from './upstream.ts';

/** Milliseconds for which a retired socket waits for the upstream's close, so that TIME_WAIT is at the upstream. */
const RETIRING_MS = 1000;
const MAX_RETIRING = 128;

export class ConnectionPool {
  readonly address: Address;
  readonly #options: Pick<UpstreamOptions, 'connections' | 'connectTimeout' | 'keepAlive'>;
  /** The TLS files that are in force. */
  #tls: TlsContents | null;
  #session: Buffer | undefined;
  readonly #all = new TickedSet<PooledConnection>();
  /** Every socket, those of tunnels too, from its connect to its close. */
  readonly #sockets = new Set<Socket>();
  /** The longest idle first. */
  readonly #idle: Readonly<Record<Traffic, PooledConnection[]>> = { verified: [], unverified: [] };
  readonly #connecting = new Set<Socket>();
  readonly #retiring = new Set<Socket>();

  constructor(options: UpstreamOptions) {
    this.address = addressOf(options.url);
    this.#options = options;
    this.#tls = options.tls;
  }

  /**
   * Acquires an idle connection, which then belongs to the caller; null if there is none. `now` here and below:
   * milliseconds on the monotonic clock.
   */
  acquire(traffic: Traffic, now: number): PooledConnection | null {
    const idle = this.#idle[traffic];
    for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
      const { socket, unusedUntil } = connection;
      if (now < unusedUntil && socket.writable && socket.readable) {
        connection.unusedUntil = Number.POSITIVE_INFINITY;
        return connection;
      }
      socket.destroy();
    }
    return null;
  }

  /** Opens a connection. Returns the socket at once, so that the caller can give up. */
  open(traffic: Traffic, done: (opened: PooledConnection | Error) => void): Socket {
    const tls = this.#tls;
    let connection: PooledConnection | null = null;
    this.#makeRoom(traffic);
    const connected = (error: Error | null) => {
      this.#connecting.delete(socket);
      if (error !== null) return done(error);
      connection = new PooledConnection(socket, { traffic, tls }, (closed) => this.#closed(closed));
      this.#all.add(connection);
      done(connection);
    };
    const socket = this.openSocket(connected, (bytes) => connection?.read(bytes));
    this.#connecting.add(socket);
    socket.once('close', () => this.#connecting.delete(socket));
    return socket;
  }

  /**
   * Ends idle connections of the other kind, so that both stay within `connections` together. A verified request ends
   * one even below that: a server that takes one connection at a time would keep the delivery waiting for it.
   */
  #makeRoom(traffic: Traffic): void {
    const others = this.#idle[traffic === 'verified' ? 'unverified' : 'verified'];
    const open = this.#all.size - this.#retiring.size + this.#connecting.size;
    const excess = Math.max(open + 1 - this.#options.connections, traffic === 'verified' ? 1 : 0);
    for (const { socket } of others.splice(0, excess)) socket.destroy();
  }

  /**
   * Opens a socket within `connectTimeout`, TLS included. `done` is called once: with null when connected, or with the
   * error. `onRead` replaces 'data' events; its bytes are in a buffer that the next read of any socket overwrites.
   */
  openSocket(done: (error: Error | null) => void, onRead?: (bytes: Buffer) => void): Socket {
    const tls = this.#tls;
    const socket = connectTo(this.address, { tls, session: this.#session, onRead });
    this.#sockets.add(socket);
    socket.on('session', (session: Buffer) => {
      // A session that began with other TLS files would skip the check of the certificate.
      if (tls === this.#tls) this.#session = session;
    });
    const cancel = deadline(this.#options.connectTimeout, () => socket.destroy(connectTimeout()));
    socket.once('close', () => {
      cancel();
      this.#sockets.delete(socket);
    });
    socket.once('error', done);
    socket.once(this.address.serverName === null ? 'connect' : 'secureConnect', () => {
      cancel();
      socket.off('error', done);
      done(null);
    });
    return socket;
  }

  /** Releases a connection after a clean end of its response. */
  release(connection: PooledConnection, now: number): void {
    if (connection.tls !== this.#tls) {
      connection.socket.destroy();
      return;
    }
    connection.unusedUntil = now + this.#options.keepAlive;
    this.#idle[connection.traffic].push(connection);
  }

  /** Retires a connection after its last request; it ends once the upstream has closed. `first`: who closes first. */
  retire(connection: PooledConnection, first: 'upstream' | 'proxy'): void {
    connection.user = null;
    const { socket } = connection;
    if (socket.readableEnded || socket.destroyed) {
      socket.destroy();
      return;
    }
    connection.retiring = true;
    connection.unusedUntil = performance.now() + RETIRING_MS;
    if (socket.isPaused()) socket.resume();
    if (first === 'proxy') socket.end();
    this.#retiring.add(socket);
    dropOldest(this.#retiring, MAX_RETIRING)?.destroy();
  }

  /** New connections use these TLS files; requests in flight end on the old ones. */
  replaceTls(tls: TlsContents | null): void {
    this.#tls = tls;
    this.#session = undefined;
    for (const idle of Object.values(this.#idle)) for (const { socket } of idle.splice(0)) socket.destroy();
  }

  /** Ends every socket; requests in flight fail. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #closed(connection: PooledConnection): void {
    this.#all.delete(connection);
    this.#retiring.delete(connection.socket);
    const idle = this.#idle[connection.traffic];
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
  }
}
