// A port: accepts connections, plain or TLS, makes room when there are too many, and ends them when the process stops.
// Both ports are listeners.
import { createServer, type Server, type Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { destroyOldest, ignore, type TlsContents } from '../wire/sockets.ts';
import { bind } from './bind.ts';
import { Connection, type Handler, type State } from './connection.ts';
import { RoomMaker } from './room-maker.ts';

/** Times in milliseconds, sizes in bytes. */
export interface ListenerLimits {
  readonly connections: number;
  readonly keepAlive: number;
  readonly headersTimeout: number;
  readonly connectionAge: number;
  readonly maxHeader: number;
  /** Null: plain HTTP. A running listener can't gain or lose TLS, but its contents can change. */
  readonly tls: TlsContents | null;
}

const WITHOUT_REQUEST: readonly State[] = ['idle', 'silent', 'handshake'];

/** Time for bytes that are on their way when the listener closes. */
const LAST_BYTES_MS = 100;
/** Idle connections end in this part of the delay before a stop: balancers have noticed, and the app still serves. */
const IDLE_END_FROM = 0.6;
const IDLE_END_TO = 0.9;
const IDLE_END_EVERY_MS = 50;
/** The most TLS handshakes in progress, counted from the first byte: 1,024 unfinished ones hold 78 MiB. */
const MAX_HANDSHAKES = 128;
/** The most closing connections: reading and dropping what they still send is a courtesy. */
const MAX_CLOSING = 256;

export class Listener {
  limits: ListenerLimits;
  readonly handler: Handler;
  draining = false;
  /** Requests that have begun and not ended. */
  inFlight = 0;
  readonly #server: Server;
  readonly #tls: TlsServer | null;
  readonly #room = new RoomMaker();
  readonly #all = this.#room.all;
  /** TLS handshakes under way, by the client's address and port. */
  readonly #handshakes = new Map<string, Connection>();
  readonly #closing = new Set<Connection>();
  #accepted = 0;
  #onIdle: (() => void) | null = null;
  #endingIdle: NodeJS.Timeout | null = null;

  constructor(limits: ListenerLimits, handler: Handler) {
    this.limits = limits;
    this.handler = handler;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#tls = limits.tls === null ? null : this.#createTls(limits.tls);
  }

  /** From accept, before TLS. */
  get connections(): number {
    return this.#all.size;
  }

  /** After a reload. New TLS contents hold for handshakes from now on. */
  adopt(limits: ListenerLimits): void {
    this.limits = limits;
    if (limits.tls !== null && this.#tls !== null) {
      const options = tlsOptions(limits.tls);
      // setSecureContext does not change whether client certificates are requested.
      Object.assign(this.#tls, { requestCert: options.requestCert });
      this.#tls.setSecureContext(options);
    }
    while (this.#all.size > limits.connections && this.#room.make(performance.now()));
  }

  /** Gives the port. Rejects with the system's error if it is in use. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await bind(this.#server, host, port);
    this.#server.on('error', ignore); // accept() fails while the process has no descriptor left, and goes on later
    return bound;
  }

  /** Makes every response say `Connection: close`, and ends idle connections late in `delay` (milliseconds). */
  startDraining(delay: number): void {
    this.draining = true;
    if (this.#endingIdle !== null || delay === 0) return;
    const began = performance.now();
    const from = delay * IDLE_END_FROM;
    const to = delay * IDLE_END_TO;
    let most = 0;
    const step = () => {
      const elapsed = performance.now() - began;
      most ||= this.#all.size;
      // Silent connections stay: their first request is on its way.
      this.#end(['idle'], Math.floor(most * Math.max(0, (to - elapsed) / (to - from))));
      this.#endingIdle = elapsed < to ? setTimeout(step, IDLE_END_EVERY_MS).unref() : null;
    };
    this.#endingIdle = setTimeout(step, from).unref();
  }

  /** Undoes `startDraining`: connections may persist again. */
  stopDraining(): void {
    this.draining = false;
    if (this.#endingIdle !== null) clearTimeout(this.#endingIdle);
    this.#endingIdle = null;
  }

  /** Stops accepting. Resolves when no request is in flight; none is cut. */
  async stopAccepting(): Promise<void> {
    this.stopDraining();
    this.draining = true;
    await this.#acceptWaiting();
    this.#server.close();
    await new Promise((resolve) => setTimeout(resolve, LAST_BYTES_MS));
    this.#end(WITHOUT_REQUEST);
    if (this.inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#end(WITHOUT_REQUEST);
  }

  /** Cuts every connection. Gives the number of requests in flight that this ended. */
  cutAll(): number {
    const cut = this.inFlight;
    this.#server.close();
    for (const connection of this.#all.list()) connection.destroy();
    return cut;
  }

  // --- connections

  #accept(socket: Socket): void {
    this.#accepted++;
    const connection = new Connection(socket, this);
    while (this.#all.size >= this.limits.connections) {
      if (this.#room.make(connection.openedAt)) continue;
      socket.destroy();
      return;
    }
    this.#all.add(connection);
    if (this.#tls === null) connection.open(socket);
    else socket.once('readable', () => this.#onFirstByte(connection, socket));
  }

  /** TLS begins with the first byte: a silent connection costs no TLS. */
  #onFirstByte(connection: Connection, socket: Socket): void {
    if (socket.readableLength === 0) return connection.destroy();
    const name = nameOf(socket);
    this.#handshakes.set(name, connection);
    socket.once('close', () => this.#handshakes.delete(name));
    connection.shakeHands();
    destroyOldest(this.#handshakes, MAX_HANDSHAKES);
    if (!socket.destroyed) this.#tls?.emit('connection', socket);
  }

  #createTls(contents: TlsContents): TlsServer {
    // Loaded only where it is needed: TLS costs 2 MB of idle memory.
    const server = process.getBuiltinModule('node:tls').createServer(tlsOptions(contents));
    server.on('secureConnection', (stream) => {
      const name = nameOf(stream);
      const connection = this.#handshakes.get(name);
      this.#handshakes.delete(name);
      if (connection === undefined) stream.destroy();
      else connection.open(stream);
    });
    server.on('tlsClientError', (_error, stream) => stream.destroy());
    return server;
  }

  // --- for its connections

  onRequestBegin(): void {
    this.inFlight++;
  }

  onRequestEnd(): void {
    if (--this.inFlight > 0) return;
    this.#onIdle?.();
    this.#onIdle = null;
  }

  onClosing(connection: Connection): void {
    this.#closing.add(connection);
    destroyOldest(this.#closing, MAX_CLOSING);
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection);
    this.#closing.delete(connection);
  }

  // --- the end

  /** Node accepts one connection a turn. Closing the listener would reset those that the kernel still holds. */
  async #acceptWaiting(): Promise<void> {
    const until = performance.now() + LAST_BYTES_MS;
    let before: number;
    do {
      before = this.#accepted;
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#accepted > before && performance.now() < until);
  }

  /** Ends the connections in these states, except the `kept` ones that entered them last. */
  #end(states: readonly State[], kept = 0): void {
    const ending = this.#all.list().filter(({ state }) => states.includes(state));
    ending.sort((a, b) => a.since - b.since);
    for (const connection of ending.slice(0, Math.max(0, ending.length - kept))) connection.close();
  }
}

/** Client certificates are requested, and must be valid, if a CA for them is configured. */
function tlsOptions(tls: TlsContents) {
  return { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true, ALPNProtocols: ['http/1.1'] };
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
