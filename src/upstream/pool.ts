// The sockets to the upstream: one request a socket, the last one freed is the next one used, and idle ones end. A byte that
// nobody asked for ends its socket: it would be taken for the answer to the next request.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { MessageParser } from '../wire/parser.ts';
import { destroyOldest } from '../wire/sockets.ts';
import { MessageWriter } from '../wire/writer.ts';
import type { Connector } from './connect.ts';
import { readBeforeFailedWriteEnds } from './early-answers.ts';

/** Who uses a pooled connection at the moment. */
export interface ConnectionUser {
  /** `bytes` are overwritten once this returns. */
  onData(bytes: Buffer): void;
  /** The upstream has sent its last byte. */
  onEnd(): void;
  /** Nothing more comes or goes. Null: it was closed without an error. */
  onClose(error: Error | null): void;
  onDrain(): void;
  /** To be called a few times a second: looks at deadlines. */
  tick(now: number): void;
}

/** Bytes. A longer response head is a failure of the protocol. */
const MOST_HEAD = 64 * 1024;
const TICK_MS = 250;
/** How long a socket that is not used again waits for the upstream's close, so that TIME_WAIT is on the upstream's side. */
const RETIRING_MS = 1000;
const MOST_RETIRING = 128;

export class PooledConnection {
  readonly socket: Socket;
  /** What opened it: once another one is in force, it is not used again. */
  readonly connector: Connector;
  readonly writer: MessageWriter;
  readonly parser = new MessageParser('response', { head: MOST_HEAD });
  user: ConnectionUser | null = null;
  /** When it became idle; milliseconds on the monotonic clock. */
  idleSince = 0;
  /** Its request was the last: what still comes is dropped. */
  retiring = false;
  #error: Error | null = null;

  constructor(socket: Socket, connector: Connector, onClosed: (connection: PooledConnection) => void) {
    this.socket = socket;
    this.connector = connector;
    this.writer = new MessageWriter(socket);
    readBeforeFailedWriteEnds(socket);
    socket.on('end', () => {
      if (this.user === null) socket.destroy();
      else this.user.onEnd();
    });
    socket.on('drain', () => this.user?.onDrain());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.once('close', () => {
      const { user } = this;
      this.user = null;
      this.parser.free();
      onClosed(this);
      user?.onClose(this.#error);
    });
  }

  read(bytes: Buffer): void {
    if (this.user !== null) this.user.onData(bytes);
    else if (!this.retiring) this.socket.destroy();
  }
}

export class ConnectionPool {
  /** Milliseconds; 0: no socket is used twice. */
  readonly #keepAlive: number;
  #connector: Connector;
  readonly #all = new Set<PooledConnection>();
  #idle: PooledConnection[] = [];
  readonly #retiring = new Set<Socket>();
  #tick: NodeJS.Timeout | null = null;

  constructor(connector: Connector, keepAlive: number) {
    this.#connector = connector;
    this.#keepAlive = keepAlive;
  }

  /** Opens sockets with the TLS files that are in force. */
  get connector(): Connector {
    return this.#connector;
  }

  /** An idle connection, the caller's from now on; null where there is none. */
  take(user: ConnectionUser): PooledConnection | null {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return null;
      const fresh = performance.now() - connection.idleSince < this.#keepAlive;
      if (fresh && connection.socket.writable && connection.socket.readable) {
        connection.user = user;
        return connection;
      }
      connection.socket.destroy();
    }
  }

  /** Opens one; gives the socket at once, so that the caller can give up. */
  open(done: (error: Error | null, connection: PooledConnection | null) => void): Socket {
    const connector = this.#connector;
    let connection: PooledConnection | null = null;
    const connected = (error: Error | null) => {
      if (error !== null) return done(error, null);
      connection = new PooledConnection(socket, connector, (closed) => this.#closed(closed));
      this.#all.add(connection);
      this.#tick ??= setInterval(() => this.#onTick(), TICK_MS).unref();
      done(null, connection);
    };
    const socket = connector.open(connected, (bytes) => connection?.read(bytes));
    return socket;
  }

  /** Its response has ended, nothing came behind it, and nobody uses it any more. */
  giveBack(connection: PooledConnection): void {
    if (this.#keepAlive === 0 || connection.connector !== this.#connector) {
      connection.socket.destroy();
      return;
    }
    connection.idleSince = performance.now();
    this.#idle.push(connection);
  }

  /** Its request was the last; it ends once the upstream has closed. */
  retire(connection: PooledConnection): void {
    connection.user = null;
    const { socket } = connection;
    if (socket.readableEnded || socket.destroyed) {
      socket.destroy();
      return;
    }
    connection.retiring = true;
    if (socket.isPaused()) socket.resume();
    this.#retiring.add(socket);
    const timer = setTimeout(() => socket.destroy(), RETIRING_MS).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#retiring.delete(socket);
    });
    destroyOldest(this.#retiring, MOST_RETIRING);
  }

  /** Every request from now on gets a connection opened by this; those in flight end on theirs. */
  renew(connector: Connector): void {
    this.#connector = connector;
    for (const { socket } of this.#idle.splice(0)) socket.destroy();
  }

  /** Ends all; what is in flight fails. */
  destroy(): void {
    for (const { socket } of [...this.#all]) socket.destroy();
  }

  #closed(connection: PooledConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#all.size > 0 || this.#tick === null) return;
    clearInterval(this.#tick);
    this.#tick = null;
  }

  #onTick(): void {
    const now = performance.now();
    for (const connection of [...this.#all]) connection.user?.tick(now);
    for (const connection of [...this.#idle])
      if (now - connection.idleSince >= this.#keepAlive) connection.socket.destroy();
  }
}
