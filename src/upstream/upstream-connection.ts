// One socket to the upstream, with its parser and writer. It knows the request that uses it only by an interface.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { MessageParser } from '../wire/parser.ts';
import { SocketProgress } from '../wire/socket-progress.ts';
import type { TlsContents } from '../wire/tls-file-contents.ts';
import { MessageWriter } from '../wire/writer.ts';

/** The kind of requests that a socket carries. It never changes: see connection-pool.ts. */
export type Traffic = 'verified' | 'unverified';

/** The request or tunnel that a connection carries. */
export interface ConnectionUser {
  /** Called once a new connection can be written to. */
  onOpen(connection: UpstreamConnection): void;
  onData(bytes: Buffer, connection: UpstreamConnection): void;
  /** Called once the upstream has half-closed. */
  onEnd(): void;
  /** Called once the socket is closed, or could not be opened. The connection then has no user any more. */
  onClose(error: Error | null): void;
  tick(now: number): void;
}

export class UpstreamConnection {
  place = -1;
  readonly socket: Socket;
  readonly traffic: Traffic;
  /** The TLS files with which the connection was opened. Once others are in force, it is not used again. */
  readonly tls: TlsContents | null;
  readonly writer: MessageWriter;
  readonly parser = new MessageParser('response', MAX_RESPONSE_HEAD);
  readonly progress = new SocketProgress();
  user: ConnectionUser | null = null;
  /** When the connection is closed if not used again, in milliseconds on the monotonic clock; Infinity while in use. */
  unusedUntil = Number.POSITIVE_INFINITY;
  /** The key of the connection as the upstream sees it; empty until it is open. */
  peerKey = '';
  /** True if its other end has proved to be this proxy. */
  leadsBack = false;
  /** True once its last request has ended: bytes that still come are dropped. */
  retiring = false;
  #error: Error | null = null;

  constructor(socket: Socket, { traffic, tls }: Pick<UpstreamConnection, 'traffic' | 'tls'>) {
    this.socket = socket;
    this.traffic = traffic;
    this.tls = tls;
    this.writer = new MessageWriter(socket);
    readBeforeFailedWriteEnds(socket);
    socket.on('end', () => {
      if (this.user === null) socket.destroy();
      else this.user.onEnd();
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.once('close', () => {
      const { user } = this;
      this.user = null;
      this.parser.free();
      user?.onClose(this.#error);
    });
  }

  readonly read = (bytes: Buffer): void => {
    if (this.user !== null) this.user.onData(bytes, this);
    else if (!this.retiring) this.socket.destroy();
  };

  tick(now: number): void {
    this.user?.tick(now);
    if (now >= this.unusedUntil) this.socket.destroy();
  }
}

/** Bytes. A longer head counts as a protocol error. */
const MAX_RESPONSE_HEAD = 64 * 1024;

/** Milliseconds between checks of a socket with a failed write. A check ends it unless it is paused (a slow client). */
const CHECK_MS = 1000;

/**
 * An upstream may answer and close while a request is still being sent to it. A write then fails while the answer lies
 * unread in the kernel, and Node destroys the socket with it (nodejs/node#149, #54366). So `destroy` is overridden, the
 * only way to read the answer first (by `onread`: after a failed write a stream emits no data). Without this, of 100
 * early answers to bodies of 0.1, 1 and 8 MB, 1, 87 and 99 were lost. The pool removes the override for tunnels. If Node
 * bypasses the override, test/e2e/no-mixed-answers.test.ts fails.
 */
function readBeforeFailedWriteEnds(socket: Socket): void {
  const destroy = socket.destroy;
  let failed = false;
  socket.destroy = (error?: NodeJS.ErrnoException) => {
    if (error?.syscall !== 'write') return destroy.call(socket, error);
    if (failed) return socket;
    failed = true;
    // Reading goes on until 'end', an error of a read or the check below destroys the socket.
    const timer = setInterval(() => {
      if (!socket.isPaused()) destroy.call(socket, error);
    }, CHECK_MS).unref();
    socket.once('close', () => clearInterval(timer));
    return socket;
  };
}
