// TLS on the clients' side: from a connection's first byte to its secured stream. connection.ts (`beginTls`) limits a
// handshake to `limits.headersTimeout`; this file ends one that is under way only to make room for another.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import { free, JoinedBytes, NO_BYTES } from '../base/bytes.ts';
import { codeOf } from '../base/errors.ts';
import type { Hint } from '../core/hint.ts';
import { ALPN, type TlsContents } from '../wire/tls-file-contents.ts';
import type { Handler } from './client-exchange.ts';
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
  await(connection: Connection): void {
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

// The first bytes of a TLS connection, until its ClientHello is whole (RFC 8446 4.1.2, in records of 5.1). A handshake
// begins only then: few are allowed at once, and a client that sends a single byte must not count as a handshake.

const TLS_HANDSHAKE = 22;
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const MAX_RECORD = 16 * 1024;
/** Bytes. The end of a longer ClientHello is not waited for: honest ones have one or two KiB. */
const MAX_BUFFERED = 16 * 1024;

/** Reads each record once, since a client may send 16 KiB of tiny ones byte by byte. */
export class ClientHello {
  readonly #all = new JoinedBytes(MAX_BUFFERED);
  /** The place of the first record that is not whole. */
  #at = 0;
  /** Bytes of the message in the records before that place. */
  #received = 0;
  /** The message's first four bytes, as far as they are in those records. */
  #header = NO_BYTES;

  /** All that has come. */
  get bytes(): Buffer {
    return this.#all.bytes;
  }

  /** `other`: the bytes are no ClientHello, which OpenSSL refuses, or the ClientHello is too long to wait for. */
  add(piece: Buffer): 'part' | 'whole' | 'other' {
    this.#all.add(piece);
    const { bytes } = this;
    // OpenSSL, too, waits for the whole header of a record, whatever it begins with.
    while (bytes.length - this.#at >= RECORD_HEADER) {
      if (bytes[this.#at] !== TLS_HANDSHAKE || bytes[this.#at + 1] !== MAJOR_VERSION) return 'other';
      const length = bytes.readUInt16BE(this.#at + 3);
      if (length === 0 || length > MAX_RECORD) return 'other';
      const from = this.#at + RECORD_HEADER;
      const part = bytes.subarray(from, from + length);
      const header = Buffer.concat([this.#header, part.subarray(0, MESSAGE_HEADER - this.#header.length)]);
      const received = this.#received + part.length;
      if (header.length > 0 && header[0] !== CLIENT_HELLO) return 'other';
      const isKnown = header.length === MESSAGE_HEADER;
      if (isKnown && received >= MESSAGE_HEADER + header.readUIntBE(1, 3)) return 'whole';
      if (part.length < length) break;
      [this.#at, this.#received, this.#header] = [from + length, received, header];
    }
    return bytes.length >= MAX_BUFFERED ? 'other' : 'part';
  }
}
