// The traffic port: node:http, hardened, from the first connection to the last. What it takes goes to the reception
// (reception.ts), what its parser gives up on to broken.ts.
import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { Broken } from './broken.ts';
import type { ByteBudget } from './budget.ts';
import { type Connection, connectionOf, endInBounds, openConnection } from './connection.ts';
import { Connections } from './connections.ts';
import { joinShortWrites } from './joined.ts';
import type { Lingering } from './linger.ts';
import { listenOn } from './listen.ts';
import { adoptOptions, createListener, type ListenerOptions, onConnection } from './listener.ts';
import { Reception, type ServerHooks } from './reception.ts';
import { responseOn } from './upgraded.ts';

export interface ServerOptions extends ListenerOptions {
  /** Milliseconds after which a connection is ended, at the end of a response. */
  readonly connectionAge: number;
}

const TICK_MS = 500;
/** How long bytes that are on their way when the listener closes may take to arrive. */
const LAST_BYTES_MS = 100;

export class TrafficServer {
  #options: ServerOptions;
  readonly #budget: ByteBudget;
  readonly #lingering: Lingering;
  readonly #server: Server;
  readonly #connections = new Connections();
  readonly #reception: Reception;
  /** With TLS, beneath them: also those whose handshake is not done, or never will be. */
  readonly #beneath = new Set<Socket>();
  #accepted = 0;
  #closing = false;
  #tick: NodeJS.Timeout | null = null;

  constructor(options: ServerOptions, hooks: ServerHooks, parts: { budget: ByteBudget; lingering: Lingering }) {
    this.#options = options;
    this.#budget = parts.budget;
    this.#lingering = parts.lingering;
    const reception = new Reception(hooks);
    const broken = new Broken({ connections: this.#connections, lingering: parts.lingering, record: hooks.onEnd });
    this.#reception = reception;
    this.#server = createListener(options, (request) => reception.mayUpgrade(request));
    onConnection(this.#server, (socket) => this.#onConnection(socket));
    this.#server.on('connection', (socket) => this.#onAccepted(socket));
    this.#server.on('request', (request, response) => reception.request(request, response, false));
    this.#server.on('checkContinue', (request, response) => reception.request(request, response, true));
    this.#server.on('checkExpectation', (request, response) => reception.request(request, response, true));
    this.#server.on('upgrade', (request, socket, early) =>
      reception.begin(request, responseOn(socket as Socket, request), { early }),
    );
    this.#server.on('connect', (request, socket) =>
      broken.refuse(connectionOf(request.socket), socket as Socket, 'bad_request'),
    );
    this.#server.on('clientError', (error, socket) => broken.onClientError(error, socket as Socket));
  }

  get inFlight(): number {
    return this.#reception.inFlight;
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
    await this.#reception.idle();
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
    const cut = this.#reception.inFlight;
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
    joinShortWrites(socket);
    socket.setDefaultEncoding('latin1'); // node writes a head that goes out by itself in this: UTF-8 would change its bytes
    socket.once('close', () => {
      this.#connections.remove(connection);
      // Pipelined requests behind the one being answered get no event of their own.
      for (const exchange of [...connection.active]) this.#reception.end(exchange);
    });
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
