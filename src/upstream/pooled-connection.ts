// One socket to the upstream, with its parser and writer. It knows its user only by an interface.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { MessageParser } from '../wire/parser.ts';
import type { TlsContents } from '../wire/tls-contents.ts';
import { MessageWriter } from '../wire/writer.ts';
import { readBeforeFailedWriteEnds } from './early-answers.ts';
import { MAX_RESPONSE_HEAD } from './response-sizes.ts';

/** The requests that a socket carries, from its first request to its last. */
export type Traffic = 'verified' | 'unverified';

/** The request that a connection carries. */
export interface ConnectionUser {
  onData(bytes: Buffer): void;
  /** The upstream has half-closed. */
  onEnd(): void;
  /** The socket is closed; the connection has no user any more. */
  onClose(error: Error | null): void;
  /** The upstream has caught up with reading. */
  onDrain(): void;
  tick(now: number): void;
}

export class PooledConnection {
  /** Its index in the indexed set that it is in. */
  place = -1;
  readonly socket: Socket;
  readonly traffic: Traffic;
  /** The TLS files that it was opened with. Once others are in force, the connection is not used again. */
  readonly tls: TlsContents | null;
  readonly writer: MessageWriter;
  readonly parser = new MessageParser('response', { head: MAX_RESPONSE_HEAD });
  user: ConnectionUser | null = null;
  /** When it ends unless it is used again, in milliseconds on the monotonic clock; Infinity while it is in use. */
  unusedUntil = Number.POSITIVE_INFINITY;
  /** True once its last request has ended: bytes that still come are dropped. */
  retiring = false;
  #error: Error | null = null;

  constructor(
    socket: Socket,
    { traffic, tls }: Pick<PooledConnection, 'traffic' | 'tls'>,
    onClosed: (connection: PooledConnection) => void,
  ) {
    this.socket = socket;
    this.traffic = traffic;
    this.tls = tls;
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

  tick(now: number): void {
    this.user?.tick(now);
    if (now >= this.unusedUntil) this.socket.destroy();
  }
}
