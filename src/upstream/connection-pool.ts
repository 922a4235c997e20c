// The sockets to the upstream: one request at a time on each; the most recently freed is used next, and one that stays
// idle is closed. An unexpected byte ends its socket, since it would be read as the answer to the next request.
// Verified requests have sockets of their own: late bytes for an unverified one must never answer a delivery.
import { Buffer } from 'node:buffer';
import type { OnReadOpts, Socket } from 'node:net';
import { deadline } from '../base/deadline.ts';
import { dropOldest } from '../base/drop-oldest.ts';
import { TickedSet } from '../base/ticked-set.ts';
import { peerKey } from '../wire/socket-progress.ts';
import type { TlsContents } from '../wire/tls-file-contents.ts';
import { type Address, addressOf, type CertificateDates, connectTimeout, connectTo, wrongDates } from './connect.ts';
import { type Traffic, UpstreamConnection } from './upstream-connection.ts';

/** Milliseconds that a retired socket waits for the upstream to close: the side that closes first keeps TIME_WAIT. */
const RETIRING_MS = 1000;
const MAX_RETIRING = 128;
/** Shared by all reads: Node would allocate and shrink 64 KiB for each read, which costs a short response 1.1 µs. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
/** Milliseconds: a socket that has been idle for less is used again without being read first. */
const FRESH_MS = 20;

/** Where and how to connect. Times in milliseconds. */
export interface UpstreamOptions {
  /** `http://…`, `https://…` or `unix:///path`. */
  readonly url: string;
  readonly connections: number;
  readonly connectTimeout: number;
  readonly keepAlive: number;
  readonly tls: TlsContents | null;
}

export class ConnectionPool {
  readonly address: Address;
  readonly #options: UpstreamOptions;
  #tls: TlsContents | null;
  #session: Buffer | undefined;
  readonly #all = new TickedSet<UpstreamConnection>();
  /** Every socket from its connect to its close, including those of tunnels. */
  readonly #sockets = new Set<Socket>();
  /** Idle connections, the longest idle first. */
  readonly #idle: Readonly<Record<Traffic, UpstreamConnection[]>> = { verified: [], unverified: [] };
  readonly #retiring = new Set<Socket>();
  readonly #byPeerKey = new Map<string, UpstreamConnection>();

  constructor(options: UpstreamOptions) {
    this.address = addressOf(options.url);
    this.#options = options;
    this.#tls = options.tls;
  }

  /**
   * True if the next idle connection should be read before it is acquired. After a suspension or a long turn of the
   * event loop, its close may lie unread in the kernel beside the request that woke us: 40 of 40 such requests got 502.
   */
  mayHaveClosed(traffic: Traffic, now: number): boolean {
    const idleUntil = this.#idle[traffic].at(-1)?.unusedUntil ?? Number.POSITIVE_INFINITY;
    const idleSince = idleUntil - this.#options.keepAlive;
    return now - idleSince >= FRESH_MS;
  }

  /** Gives an idle connection to the caller; null if there is none. `now`, here and below: of the monotonic clock, in ms. */
  acquire(traffic: Traffic, now: number): UpstreamConnection | null {
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

  /** Begins to open a connection: later calls its user's `onOpen`, or `onClose`. Only a tunnel's emits 'data'. */
  open(traffic: Traffic, use: 'requests' | 'tunnel'): UpstreamConnection {
    this.#makeRoom(traffic);
    const callback = (length: number) => {
      connection.read(READ_BUFFER.subarray(0, length)); // the next read of any socket overwrites it
      return true;
    };
    const onread = use === 'requests' ? { buffer: READ_BUFFER, callback } : undefined;
    const onOpen = (error: Error | null) => (error === null ? this.#opened(connection) : undefined); // 'close' follows
    const socket = this.openSocket(onOpen, this.#options.connectTimeout, onread);
    socket.once('close', () => this.#closed(connection)); // before the connection's user is told: it may open another
    const connection = new UpstreamConnection(socket, { traffic, tls: this.#tls });
    this.#all.add(connection);
    if (use === 'tunnel') socket.on('data', connection.read);
    return connection;
  }

  /**
   * Ends idle connections of the other kind, so that both kinds together stay within `connections`. A verified request
   * ends one even below that: a server that serves one connection at a time would keep the delivery waiting.
   */
  #makeRoom(traffic: Traffic): void {
    const others = this.#idle[traffic === 'verified' ? 'unverified' : 'verified'];
    const open = this.#all.size - this.#retiring.size;
    const excess = Math.max(open + 1 - this.#options.connections, traffic === 'verified' ? 1 : 0);
    for (const { socket } of others.splice(0, excess)) socket.destroy();
  }

  /** The dates of the upstream's certificate that are why TLS refuses it; null if none is seen within `milliseconds`. */
  wrongDates(milliseconds: number): Promise<CertificateDates | null> {
    return wrongDates(connectTo(this.address, this.#tls, { rejectUnauthorized: false }), milliseconds);
  }

  /** Opens a socket within `milliseconds`, TLS included. `done` is called once. `onread` replaces 'data' events. */
  openSocket(done: (error: Error | null) => void, milliseconds: number, onread?: OnReadOpts): Socket {
    const tls = this.#tls;
    const socket = connectTo(this.address, tls, { session: this.#session, onread });
    this.#sockets.add(socket);
    socket.on('session', (session: Buffer) => {
      // A session that began with other TLS files must not be resumed: that would skip the check of the certificate.
      if (tls === this.#tls) this.#session = session;
    });
    const cancel = deadline(milliseconds, () => socket.destroy(connectTimeout()));
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

  #opened(connection: UpstreamConnection): void {
    connection.peerKey = peerKey(connection.socket);
    this.#byPeerKey.set(connection.peerKey, connection);
    connection.user?.onOpen(connection);
  }

  /**
   * Makes a connection idle; nothing else does. An idle one is read, so that an unexpected byte ends it, has nothing to
   * write, no user, and a parser at the start of a message. One that lacks any of that is destroyed, not repaired.
   */
  release(connection: UpstreamConnection, now: number): void {
    const { socket, parser, user, tls } = connection;
    const isRead = socket.readable && !socket.isPaused();
    const isIdle = isRead && socket.writable && socket.writableLength === 0 && user === null && parser.isAtStart;
    if (!isIdle || tls !== this.#tls) {
      socket.destroy();
      return;
    }
    connection.unusedUntil = now + this.#options.keepAlive;
    this.#idle[connection.traffic].push(connection);
  }

  /** Retires a connection after its last request, until the upstream closes. `first`: the side that closes first. */
  retire(connection: UpstreamConnection, first: 'upstream' | 'proxy'): void {
    connection.user = null;
    const { socket } = connection;
    connection.retiring = true;
    connection.unusedUntil = performance.now() + RETIRING_MS;
    if (socket.isPaused()) socket.resume();
    if (first === 'proxy') socket.end();
    this.#retiring.add(socket);
    dropOldest(this.#retiring, MAX_RETIRING)?.destroy();
  }

  /** Detaches a tunnel's connection: the tunnel reads the socket itself, which no longer counts as a connection. */
  detach(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const { socket } = connection;
    socket.off('data', connection.read).pause();
    Reflect.deleteProperty(socket, 'destroy'); // so that a failed write ends the socket: while paused it sees no end
  }

  /**
   * True if the client's connection with this key is the other end of one of ours: the upstream's address leads back
   * here, and a request would come round until no slot is free. One end alone would match innocent clients, too.
   */
  leadsBack(key: string): boolean {
    const connection = this.#byPeerKey.get(key);
    if (connection !== undefined) connection.leadsBack = true;
    return connection !== undefined;
  }

  /** New connections use these TLS files; requests in flight stay on their old connections. */
  replaceTls(tls: TlsContents | null): void {
    this.#tls = tls;
    this.#session = undefined;
    for (const idle of Object.values(this.#idle)) for (const { socket } of idle.splice(0)) socket.destroy();
  }

  /** Ends every socket; requests in flight fail. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #closed(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    if (this.#byPeerKey.get(connection.peerKey) === connection) this.#byPeerKey.delete(connection.peerKey);
    this.#retiring.delete(connection.socket);
    const idle = this.#idle[connection.traffic];
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
  }
}
