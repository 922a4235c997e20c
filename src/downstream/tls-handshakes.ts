// TLS on the clients' side: from a connection's first byte to its secured stream. connection.ts (`beginTls`) limits a
// handshake to `limits.headersTimeout`; this file ends one that is under way only to make room for another.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import { free } from '../base/bytes.ts';
import { codeOf } from '../base/errors.ts';
import type { Hint } from '../core/hint.ts';
import { ALPN, type TlsContents } from '../wire/tls-file-contents.ts';
import type { Handler } from './client-exchange.ts';
import { ClientHello } from './client-hello.ts';
import type { Connection } from './connection.ts';

/** The maximum number of TLS handshakes under way at once: 1,024 unfinished ones would need 78 MiB. */
const MAX_UNDER_WAY = 128;
/** Milliseconds that a handshake gets before it may be ended to make room for another: busy clients answer late. */
const LEAST_MS = 100;

/** Client certificates are requested, and must be valid, if a CA for them is configured. */
function tlsOptions(tls: TlsContents): TlsOptions {
  return { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true, ALPNProtocols: ALPN };
}

/** The client's part in a failure, by OpenSSL's code. `fromChecks`: health checks and scanners do so, too. */
const FAILURES = [
  { code: /_ALERT_.*(?:CERTIFICATE|UNKNOWN_CA)/, failure: 'clients refused the certificate here', fromChecks: false },
  { code: /DID_NOT_RETURN_A_CERTIFICATE/, failure: 'the client sent no certificate', fromChecks: true },
  { code: /UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER/, failure: 'no TLS version or cipher in common', fromChecks: true },
  { code: /HTTP_REQUEST|WRONG_VERSION_NUMBER/, failure: 'the client spoke no TLS', fromChecks: true },
];

/** Why a handshake failed; null for what only scanners send. */
function failureOf(error: Error, { authorizationError }: TLSSocket): Hint | null {
  const row = FAILURES.find(({ code }) => code.test(codeOf(error)));
  if (row === undefined && !authorizationError) return null;
  const { failure, fromChecks } = row ?? { failure: 'the certificate of the client was refused', fromChecks: false };
  return { diagnosis: 'handshake-fails', text: `${failure} (${authorizationError || codeOf(error)})`, fromChecks };
}

export class TlsHandshakes {
  readonly #server: Server;
  /** Connections whose handshake is under way; the earliest first. */
  readonly #underWay = new Set<Connection>();
  /** By the socket beneath TLS. */
  readonly #begun = new WeakMap<Socket, Connection>();
  /** Connections whose handshake may begin: they have sent a whole ClientHello, or bytes that cannot be one. */
  readonly #waiting: Connection[] = [];
  readonly #handler: Handler;

  /** `handler`: hears of each handshake that is ended to make room for another, and why one failed. */
  constructor(contents: TlsContents, handler: Handler) {
    this.#handler = handler;
    // Loaded only when needed: the TLS module costs 2 MB of idle memory.
    this.#server = process.getBuiltinModule('node:tls').createServer(tlsOptions(contents));
    this.#server.on('secureConnection', (stream) => {
      const connection = this.#connectionOf(stream);
      if (connection === undefined || !this.#underWay.delete(connection)) {
        stream.destroy();
        return;
      }
      stream.allowHalfOpen = true;
      connection.open(stream);
    });
    this.#server.on('tlsClientError', (error, stream) => {
      const connection = this.#connectionOf(stream);
      const why = failureOf(error, stream);
      if (connection !== undefined && why !== null) handler.onFailedHandshake?.(why, connection.address);
      stream.destroy();
    });
  }

  /** A stream that was closed since has no port, but still its socket: test/integration/tls-on-both-sides.test.ts. */
  #connectionOf(stream: TLSSocket & { readonly _parent?: Socket }): Connection | undefined {
    return this.#begun.get(stream._parent ?? stream);
  }

  /** Uses new contents of the TLS files for handshakes from now on. */
  adopt(contents: TlsContents): void {
    const options = tlsOptions(contents);
    // setSecureContext does not change whether client certificates are requested: without this line
    // test/integration/tls-on-both-sides.test.ts fails.
    Object.assign(this.#server, { requestCert: options.requestCert });
    this.#server.setSecureContext(options);
  }

  /** Waits for the whole ClientHello, then queues the handshake. Until it begins, the state stays `silent`. */
  awaitHello(connection: Connection): void {
    const socket = connection.stream;
    const hello = new ClientHello();
    const onData = (bytes: Buffer) => {
      if (connection.state !== 'silent') return; // the connection is closing
      const state = hello.add(bytes);
      free(bytes);
      if (state === 'part') return;
      socket.off('data', onData).off('end', onEnd).pause();
      socket.unshift(hello.bytes);
      if (this.#waiting.push(connection) === 1) setImmediate(this.#beginNext);
    };
    const onEnd = () => connection.destroy();
    socket.on('data', onData).once('end', onEnd);
  }

  /** Begins one handshake per turn of the event loop: several would end others whose next bytes have come already. */
  readonly #beginNext = (): void => {
    const longest = this.#longest();
    if (longest !== undefined && performance.now() - longest.since < LEAST_MS) {
      setTimeout(this.#beginNext, LEAST_MS / 10).unref();
      return;
    }
    const connection = this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(this.#beginNext);
    if (connection?.state !== 'silent') return;
    if (longest !== undefined) {
      this.#underWay.delete(longest);
      this.#handler.onTurnedAway?.('handshakes', longest.address);
      longest.destroy();
    }
    const socket = connection.stream;
    this.#underWay.add(connection);
    this.#begun.set(socket, connection);
    socket.once('close', () => this.#underWay.delete(connection));
    connection.beginTls();
    socket.allowHalfOpen = false; // otherwise a client that leaves now would keep its place
    if (!socket.destroyed) this.#server.emit('connection', socket);
  };

  /** The oldest handshake of the network that has most of those under way; undefined while one more may begin. */
  #longest(): Connection | undefined {
    if (this.#underWay.size < MAX_UNDER_WAY) return undefined;
    const byNetwork = Map.groupBy(this.#underWay, ({ network }) => network);
    let most: readonly Connection[] = [];
    for (const same of byNetwork.values()) if (same.length > most.length) most = same;
    return most[0];
  }
}
