// The traffic port: node:http, hardened, and what it keeps of each connection and request in flight.
// It decides nothing: a request goes to the pipeline, bytes that never became one get their constant answer.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Reason } from '../core/decision.ts';
import { type Head, hasBody, readHead } from '../core/head.ts';
import type { RequestRecord } from '../core/record.ts';
import type { ByteBudget } from './budget.ts';
import { type Connection, connectionOf, endInBounds, openConnection } from './connection.ts';
import { Connections } from './connections.ts';
import { Exchange } from './exchange.ts';
import type { Lingering } from './linger.ts';
import { listenOn } from './listen.ts';
import { adoptOptions, createListener, type ListenerOptions, onConnection } from './listener.ts';
import { answerRaw } from './respond.ts';
import { responseOn } from './upgraded.ts';

export interface ServerOptions extends ListenerOptions {
  /** Milliseconds after which a connection is ended, at the end of a response. */
  readonly connectionAge: number;
}

export interface ServerHooks {
  /** A request's head is here. */
  readonly onRequest: (exchange: Exchange) => void;
  /** Whether a request may leave HTTP for a tunnel; `onRequest` hears of it all the same. */
  readonly mayUpgrade: (head: Head) => boolean;
  /** A request has ended, however it did: the one place where requests are recorded. */
  readonly onEnd: (record: RequestRecord) => void;
}

const TICK_MS = 500;
/** How long bytes that are on their way when the listener closes may take to arrive. */
const LAST_BYTES_MS = 100;

export class TrafficServer {
  #options: ServerOptions;
  readonly #hooks: ServerHooks;
  readonly #budget: ByteBudget;
  readonly #lingering: Lingering;
  readonly #server: Server;
  readonly #connections = new Connections();
  /** With TLS, beneath them: also those whose handshake is not done, or never will be. */
  readonly #beneath = new Set<Socket>();
  #accepted = 0;
  #inFlight = 0;
  #closing = false;
  #tick: NodeJS.Timeout | null = null;
  #idle: (() => void) | null = null;

  constructor(options: ServerOptions, hooks: ServerHooks, parts: { budget: ByteBudget; lingering: Lingering }) {
    this.#options = options;
    this.#hooks = hooks;
    this.#budget = parts.budget;
    this.#lingering = parts.lingering;
    this.#server = createListener(options, (request) => this.#mayUpgrade(request));
    onConnection(this.#server, (socket) => this.#onConnection(socket));
    this.#server.on('connection', (socket) => this.#onAccepted(socket));
    this.#server.on('request', (request, response) => this.#onRequest(request, response, false));
    this.#server.on('checkContinue', (request, response) => this.#onRequest(request, response, true));
    this.#server.on('checkExpectation', (request, response) => this.#onRequest(request, response, true));
    this.#server.on('upgrade', (request, socket, early) =>
      this.#begin(request, responseOn(socket as Socket, request), { early }),
    );
    this.#server.on('connect', (request, socket) =>
      this.#onRaw(connectionOf(request.socket), socket as Socket, 'bad_request'),
    );
    this.#server.on('clientError', (error, socket) => this.#onClientError(error, socket as Socket));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** After a reload. */
  adopt(options: ServerOptions): void {
    this.#options = options;
    adoptOptions(this.#server, options);
  }

  /** Gives the port. Rejects with the system's error where it is taken. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await listenOn(this.#server, host, port);
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
    this.#tick.unref();
    return bound;
  }

  /** From now on every response says `Connection: close`. */
  startClosing(): void {
    this.#closing = true;
  }

  /** A drain that ended by itself: connections may persist again. */
  stopClosing(): void {
    this.#closing = false;
  }

  /** Stops accepting; resolves when nothing is in flight. Requests under way go on. */
  async stopAccepting(): Promise<void> {
    this.startClosing();
    await this.#acceptWaiting();
    // http's own close() would also end connections that were accepted and whose first bytes nobody has read yet.
    NetServer.prototype.close.call(this.#server);
    await new Promise((resolve) => setTimeout(resolve, LAST_BYTES_MS));
    this.#server.closeIdleConnections();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#server.closeIdleConnections();
  }

  /** Node takes one connection a turn; those that the kernel still holds when the listener closes would be reset. */
  async #acceptWaiting(): Promise<void> {
    const until = performance.now() + LAST_BYTES_MS;
    let before: number;
    do {
      before = this.#accepted;
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#accepted > before && performance.now() < until);
  }

  /** Cuts what is left; gives the number of requests that were. */
  cutAll(): number {
    const cut = this.#inFlight;
    this.#server.closeAllConnections();
    this.#connections.destroyAll();
    for (const socket of this.#beneath) socket.destroy();
    if (this.#tick !== null) clearInterval(this.#tick);
    return cut;
  }

  #onAccepted(socket: Socket): void {
    this.#accepted++;
    if (this.#options.tls === null) return;
    this.#beneath.add(socket);
    socket.once('close', () => this.#beneath.delete(socket));
  }

  #onConnection(socket: Socket): void {
    const connection = openConnection(socket, this.#mustClose);
    this.#connections.add(connection, this.#options);
    // node's own closes with bytes unread, and the reset that follows takes the last answer with it (RFC 9112 9.6).
    socket.destroySoon = () => endInBounds(connection);
    socket.setDefaultEncoding('latin1'); // node writes a head that goes out by itself in this: UTF-8 would change its bytes
    socket.once('close', () => {
      this.#connections.remove(connection);
      // Pipelined requests behind the one being answered get no event of their own.
      for (const exchange of connection.active) this.#onEnd(exchange);
    });
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, expects: boolean): void {
    const connection = connectionOf(request.socket);
    if (connection.closing) {
      request.resume(); // its sender was told that nothing more is taken here, and must send it again elsewhere
      return;
    }
    this.#begin(request, response, { expects });
  }

  /** Behind a request that is not answered yet a tunnel would come before its answer. */
  #mayUpgrade(request: IncomingMessage): boolean {
    const { active, closing } = connectionOf(request.socket);
    return active.size === 0 && !closing && this.#hooks.mayUpgrade(headOf(request));
  }

  #begin(request: IncomingMessage, response: ServerResponse, how: { expects?: boolean; early?: Buffer }): void {
    const connection = connectionOf(request.socket);
    const exchange = new Exchange({ request, response, head: headOf(request) }, connection);
    exchange.awaitsContinue = how.expects === true && hasBody(exchange.head);
    // Else node would close behind the final answer, without a word in it.
    if (how.expects === true && !exchange.awaitsContinue) response.writeContinue();
    exchange.early = how.early ?? null;
    // An upgrade that is none: node drops what it read behind it, so the sender must learn that this was not taken.
    if (exchange.head.upgrade !== null) {
      connection.closing = true;
      response.shouldKeepAlive = false;
    }
    if (!response.shouldKeepAlive) connection.closing = true; // the client's own last request: what follows is none
    connection.latest = exchange;
    connection.active.add(exchange);
    this.#inFlight++;
    response.on('close', () => this.#onEnd(exchange));
    request.on('error', ignore); // a client that left: 'close' of the response or the socket tells
    this.#hooks.onRequest(exchange);
  }

  #onEnd(exchange: Exchange): void {
    const { connection, response } = exchange;
    if (!connection.active.delete(exchange)) return;
    const left = !exchange.settled && !response.writableFinished;
    exchange.closed(left);
    if (left && exchange.upstreamFailure === null && (exchange.reason === 'none' || exchange.decision !== 'rejected')) {
      exchange.reason = 'client_closed';
      exchange.status = 499;
    }
    exchange.durationMs = performance.now() - exchange.startedAt;
    this.#hooks.onEnd(exchange);
    if (connection.active.size === 0) {
      connection.idleSince = performance.now();
      if (connection.broken && connection.closeAt === Number.POSITIVE_INFINITY) endInBounds(connection);
    }
    if (--this.#inFlight > 0) return;
    this.#idle?.();
    this.#idle = null;
  }

  /** The parser gave up: on a head, on a body under way, or on what follows a whole request. */
  #onClientError(error: Error, socket: Socket): void {
    const connection = connectionOf(socket);
    const code = (error as NodeJS.ErrnoException).code ?? '';
    // A TLS handshake that failed was never a request.
    if (!this.#connections.has(connection) || code === 'ECONNRESET' || code === 'EPIPE' || socket.destroyed) {
      socket.destroy();
      return;
    }
    // Once broken, each read that follows is an error too: so its bytes are dropped, until the connection's end.
    if (!connection.broken) this.#break(connection, reasonOf(code));
    // Who has sent all that there is loses no answer to a reset.
    if (socket.readableEnded) this.#lingering.finish(connection.latest);
  }

  #break(connection: Connection, reason: Reason): void {
    connection.broken = true;
    const { latest, socket } = connection;
    if (latest !== null && connection.active.has(latest) && !latest.request.complete) this.#breakBody(latest);
    else this.#onRaw(connection, socket, reason);
  }

  #breakBody(exchange: Exchange): void {
    const { connection, response } = exchange;
    if (!response.headersSent) (exchange.body ?? exchange.upload)?.fail('bad_request');
    // Its answer is out, whole, and lingers for a client that may still be writing. Anything else is cut.
    if (exchange.decision !== 'rejected' || !response.headersSent) connection.socket.destroy();
  }

  /** Bytes that never became a request: counted as one all the same, unless not a single byte came. */
  #onRaw(connection: Connection, socket: Socket, reason: Reason): void {
    if (connection.closing && connection.active.size > 0) return; // the answer that ends it is on its way
    if (connection.closing) return endInBounds(connection);
    if (reason === 'header_timeout' && socket.bytesRead === 0) {
      socket.destroy();
      return;
    }
    this.#hooks.onEnd(refusedRaw(connection, reason));
    // An answer now would come before the one that is still being given: the connection ends with that one.
    if (connection.active.size > 0) return;
    answerRaw(socket, reason);
    endInBounds(connection);
  }

  readonly #mustClose = (connection: Connection): boolean =>
    this.#closing || performance.now() - connection.openedAt >= this.#options.connectionAge;

  #onTick(): void {
    const now = performance.now();
    this.#budget.sweep(now);
    this.#lingering.sweep(now);
    this.#connections.sweep(now, this.#options);
  }
}

function headOf({ method = '', url: target = '', httpVersion: version, rawHeaders }: IncomingMessage): Head {
  return readHead({ method, target, version }, rawHeaders);
}

function ignore(): void {}

function reasonOf(code: string): Reason {
  if (code === 'HPE_HEADER_OVERFLOW') return 'header_too_large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'header_timeout' : 'bad_request';
}

function refusedRaw(connection: Connection, reason: Reason): RequestRecord {
  const status = { header_too_large: 431, header_timeout: 408 }[reason as string] ?? 400;
  return {
    route: 'unmatched',
    method: '',
    path: '',
    status,
    decision: 'rejected',
    reason,
    hint: null,
    secret: null,
    bodyBytes: 0,
    durationMs: 0,
    verifyMs: -1,
    upstreamMs: -1,
    upstreamStatus: 0,
    upstreamFailure: null,
    client: connection.address,
    traceId: null,
  };
}
