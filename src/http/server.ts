// The traffic port: node:http, hardened, and what it keeps of each connection and request in flight.
// It decides nothing: a request goes to the pipeline, bytes that never became one get their constant answer.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Reason } from '../core/decision.ts';
import { type Head, readHead } from '../core/head.ts';
import type { RequestRecord } from '../core/record.ts';
import type { ByteBudget } from './budget.ts';
import { type Connection, connectionOf, openConnection } from './connection.ts';
import { Exchange } from './exchange.ts';
import type { Lingering } from './linger.ts';
import { listenOn } from './listen.ts';
import { adoptOptions, createListener, type ListenerOptions, onConnection } from './listener.ts';
import { answer, answerRaw, refusal } from './respond.ts';
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

export class TrafficServer {
  #options: ServerOptions;
  readonly #hooks: ServerHooks;
  readonly #budget: ByteBudget;
  readonly #lingering: Lingering;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
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
    this.#server.close();
    this.#server.closeIdleConnections();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#server.closeIdleConnections();
  }

  /** Cuts what is left; gives the number of requests that were. */
  cutAll(): number {
    const cut = this.#inFlight;
    this.#server.closeAllConnections();
    for (const connection of this.#connections) connection.socket.destroy();
    if (this.#tick !== null) clearInterval(this.#tick);
    return cut;
  }

  #onConnection(socket: Socket): void {
    const connection = openConnection(socket, this.#mustClose);
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
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
    exchange.awaitsContinue = how.expects === true;
    exchange.early = how.early ?? null;
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
    if (connection.broken && connection.active.size === 0) connection.socket.destroy();
    if (--this.#inFlight > 0) return;
    this.#idle?.();
    this.#idle = null;
  }

  /** The parser gave up: on a head, on a body under way, or on what follows a whole request. */
  #onClientError(error: Error, socket: Socket): void {
    const connection = connectionOf(socket);
    if (!this.#connections.has(connection)) {
      socket.destroy(); // a TLS handshake that failed: never a request
      return;
    }
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (connection.broken || code === 'ECONNRESET' || code === 'EPIPE' || socket.destroyed) {
      socket.destroy();
      return;
    }
    connection.broken = true;
    const { latest } = connection;
    if (latest !== null && connection.active.has(latest) && !latest.request.complete) this.#breakBody(latest);
    else this.#onRaw(connection, socket, reasonOf(code));
  }

  #breakBody(exchange: Exchange): void {
    const { connection, response } = exchange;
    if (!response.headersSent) {
      if (exchange.body !== null) exchange.body.fail('bad_request');
      else this.#refuseStreamed(exchange);
    }
    // An answer of ours is out, whole, and need not wait for the rest of a body that no parser takes.
    if (exchange.decision === 'rejected' && response.headersSent) response.end(() => connection.socket.destroySoon());
    else connection.socket.destroy();
  }

  /** The upstream has had a part of the body: its request is aborted, so that no part looks whole. */
  #refuseStreamed(exchange: Exchange): void {
    exchange.closed(true);
    exchange.decision = 'rejected';
    exchange.reason = 'bad_request';
    answer(exchange, refusal('bad_request', null), this.#lingering);
  }

  /** Bytes that never became a request: counted as one all the same, unless not a single byte came. */
  #onRaw(connection: Connection, socket: Socket, reason: Reason): void {
    if (connection.closing && connection.active.size > 0) return; // the answer that ends it is on its way
    if (connection.closing || (reason === 'header_timeout' && socket.bytesRead === 0)) {
      socket.destroy();
      return;
    }
    this.#hooks.onEnd(refusedRaw(connection, reason));
    // An answer now would come before the one that is still being given: the connection ends with that one.
    if (connection.active.size === 0) answerRaw(socket, reason);
  }

  readonly #mustClose = (connection: Connection): boolean =>
    this.#closing || performance.now() - connection.openedAt >= this.#options.connectionAge;

  #onTick(): void {
    const now = performance.now();
    this.#budget.sweep(now);
    this.#lingering.sweep(now);
    // A client that drips bare CRLFs between requests is never idle for node, and never a request.
    for (const connection of this.#connections) {
      if (
        connection.active.size === 0 &&
        now - connection.openedAt >= this.#options.connectionAge + this.#options.keepAlive
      ) {
        connection.socket.destroy();
      }
    }
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
