// TLS on the clients' side: from a connection's first byte to its secured stream. How long that may take is
// `limits.headersTimeout`, set in connection.ts (`beginTls`); here handshakes only make room for one another.

import type { Socket } from 'node:net';
import type { Server, TlsOptions } from 'node:tls';
import { free } from '../base/bytes.ts';
import { queueKey } from '../wire/kernel-queues.ts';
import { ALPN, type TlsContents } from '../wire/tls-contents.ts';
import { ClientHello } from './client-hello.ts';
import type { Connection } from './connection.ts';

/** The most TLS handshakes under way: 1,024 unfinished ones need 78 MiB. */
const MAX_UNDER_WAY = 128;
/** Milliseconds before a TLS handshake makes room for another one, which waits: a busy client needs some. */
const LEAST_MS = 100;

/** Client certificates are requested, and must be valid, if a CA for them is configured. */
function tlsOptions(tls: TlsContents): TlsOptions {
  return { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true, ALPNProtocols: ALPN };
}

export class TlsHandshakes {
  readonly #server: Server;
  /** Connections by key, the longest first; and by network, since each newcomer of a flood asks which one has most. */
  readonly #underWay = new Map<string, Connection>();
  readonly #byNetwork = new Map<string, Set<Connection>>();
  /** Those whose ClientHello is whole. */
  readonly #waiting: [Connection, Socket][] = [];

  constructor(contents: TlsContents) {
    // Loaded only if it is needed: TLS costs 2 MB of idle memory.
    this.#server = process.getBuiltinModule('node:tls').createServer(tlsOptions(contents));
    this.#server.on('secureConnection', (stream) => {
      const connection = this.#underWay.get(queueKey(stream));
      if (connection === undefined) {
        stream.destroy();
        return;
      }
      this.#delete(connection);
      connection.open(stream);
    });
    this.#server.on('tlsClientError', (_error, stream) => stream.destroy());
  }

  /** New contents apply to TLS handshakes from now on. */
  adopt(contents: TlsContents): void {
    const options = tlsOptions(contents);
    // setSecureContext does not change whether client certificates are requested.
    Object.assign(this.#server, { requestCert: options.requestCert });
    this.#server.setSecureContext(options);
  }

  /** Waits for the whole ClientHello, then begins. Until then the connection counts as silent. */
  await(connection: Connection, socket: Socket): void {
    const hello = new ClientHello();
    const onData = (bytes: Buffer) => {
      if (connection.state !== 'silent') return; // it is closing
      const found = hello.add(bytes);
      free(bytes);
      if (found === 'part') return;
      socket.off('data', onData).off('end', onEnd).pause();
      socket.unshift(hello.bytes);
      if (this.#waiting.push([connection, socket]) === 1) setImmediate(this.#beginNext);
    };
    const onEnd = () => connection.destroy();
    socket.on('data', onData).once('end', onEnd);
  }

  /** Begins one in each turn of the event loop: a burst would else push out those whose next flight has come already. */
  readonly #beginNext = (): void => {
    const longest = this.#longest();
    if (longest !== undefined && performance.now() - longest.since < LEAST_MS) {
      setTimeout(this.#beginNext, LEAST_MS / 10).unref();
      return;
    }
    const [connection, socket] = this.#waiting.shift() ?? [];
    if (this.#waiting.length > 0) setImmediate(this.#beginNext);
    if (connection === undefined || socket === undefined || connection.state !== 'silent') return;
    if (longest !== undefined) {
      this.#delete(longest);
      longest.destroy();
    }
    this.#add(connection);
    socket.once('close', () => this.#delete(connection));
    connection.beginTls();
    if (!socket.destroyed) this.#server.emit('connection', socket);
  };

  #add(connection: Connection): void {
    const { key, network } = connection;
    this.#underWay.set(key, connection);
    const same = this.#byNetwork.get(network);
    if (same === undefined) this.#byNetwork.set(network, new Set([connection]));
    else same.add(connection);
  }

  #delete(connection: Connection): void {
    const { key, network } = connection;
    this.#underWay.delete(key);
    const same = this.#byNetwork.get(network);
    same?.delete(connection);
    if (same?.size === 0) this.#byNetwork.delete(network);
  }

  /** The longest of the network that has most under way; undefined while there is room for one more. */
  #longest(): Connection | undefined {
    if (this.#underWay.size < MAX_UNDER_WAY) return undefined;
    let most: ReadonlySet<Connection> = new Set();
    for (const same of this.#byNetwork.values()) if (same.size > most.size) most = same;
    return most.values().next().value;
  }
}
