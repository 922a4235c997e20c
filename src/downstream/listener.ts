// A listener: accepts connections, plain or TLS, ends some when there are too many, and all when the process stops. The
// proxy's port and the admin port each have one.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { dropOldest } from '../base/drop-oldest.ts';
import { codeOf, ignore } from '../base/errors.ts';
import { TickedSet } from '../base/ticked-set.ts';
import { ByteBudget } from '../bodies/budget.ts';
import { OVERLOAD_HINTS } from '../core/hint.ts';
import type { TlsContents } from '../wire/tls-file-contents.ts';
import type { Handler } from './client-exchange.ts';
import { Connection } from './connection.ts';
import { endIdleLate, quietTurn } from './drain-idle.ts';
import { Room } from './make-room.ts';
import type { CopyRoom } from './request-copies.ts';
import { TlsHandshakes } from './tls-handshakes.ts';
import { UnreadAnswers } from './unread-answers.ts';

/** Times in milliseconds, sizes in bytes. */
export interface ListenerLimits {
  readonly connections: number;
  readonly keepAlive: number;
  readonly headersTimeout: number;
  readonly connectionAge: number;
  /** `close`: while over half of `connections` are open, each is closed after its next answer: newcomers find room. */
  readonly whenMany: 'keep' | 'close';
  readonly maxHeader: number;
  /** The number of answers that may lie unread in the kernel. A reload does not change it. */
  readonly unreadAnswers: number;
  /** Null: plain HTTP. A running listener cannot gain or lose TLS, but its TLS files can change. */
  readonly tls: TlsContents | null;
}

/** Connections that may wait to be accepted. With Node's 511 a flood loses SYNs, and each costs its client a second. */
const BACKLOG = 4096;
/** Milliseconds for which a closing listener waits for bytes that are still on their way. */
const LAST_BYTES_MS = 100;
/** The maximum number of closing connections at once: reading what they still send, only to drop it, is a courtesy. */
const MAX_CLOSING = 256;

export class Listener {
  limits: ListenerLimits;
  readonly handler: Handler;
  /** Memory for bytes beyond `maxHeader` that clients send before they are known to have their answers. */
  readonly budget: ByteBudget;
  /** Requests that begin are copied into it; null while nobody captures them. */
  copies: CopyRoom | null = null;
  draining = false;
  /** True from the end of `shutdown.grace` on: whatever is cut then, the stop cuts it, and no client. */
  cutting = false;
  readonly #server: Server;
  readonly #tls: TlsHandshakes | null;
  readonly #unread: UnreadAnswers;
  readonly #all = new TickedSet<Connection>((now) => this.#unread.watch(now));
  readonly #room = new Room();
  readonly #closing = new Set<Connection>();
  #accepted = 0;
  /** Aborting it stops the drain from ending idle connections. */
  #endingIdle: AbortController | undefined;

  constructor(limits: ListenerLimits, handler: Handler, budget = new ByteBudget(0)) {
    this.limits = limits;
    this.handler = handler;
    this.budget = budget;
    this.#unread = new UnreadAnswers(limits.unreadAnswers, this);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#tls = limits.tls && new TlsHandshakes(limits.tls, handler);
  }

  /** Open connections, counted from accept, before TLS. */
  get connections(): number {
    return this.#all.size;
  }

  /** True if every answer must end its connection. */
  get closesAll(): boolean {
    return this.draining || (this.limits.whenMany === 'close' && this.crowding > 1 / 2);
  }

  /** A copy of the open connections. */
  readonly list = (): readonly Connection[] => this.#all.list();

  /** Open connections as a share of `limits.connections`. */
  get crowding(): number {
    return this.#all.size / this.limits.connections;
  }

  /** The address with the most connections, and how many it has; null while few are open. */
  get mostOfOne(): { readonly address: string; readonly connections: number } | null {
    if (this.crowding < 1 / 2) return null;
    const own = [...Map.groupBy(this.list(), ({ address }) => address)];
    const [address, { length }] = own.reduce((most, other) => (other[1].length > most[1].length ? other : most));
    return { address, connections: length };
  }

  get inFlight(): number {
    return this.list().filter(({ exchange }) => exchange !== null).length;
  }

  /** The deliveries that the app has not begun to answer for `ms`, and how long the first of them waits. */
  unanswered(ms: number): { readonly amount: number; readonly longestMs: number } {
    const now = performance.now();
    const waits = this.list().flatMap(({ exchange }) => {
      const waited = exchange?.fate === 'pending' && exchange.upstreamMs < 0 ? now - exchange.startedAt : 0;
      return waited >= ms ? waited : [];
    });
    return { amount: waits.length, longestMs: Math.round(Math.max(0, ...waits)) };
  }

  /** Applies new limits after a reload. New TLS contents apply to TLS handshakes from now on. */
  adopt(limits: ListenerLimits): void {
    this.limits = limits;
    if (limits.tls !== null) this.#tls?.adopt(limits.tls);
    while (this.#all.size > limits.connections && this.#makeRoom(performance.now()));
  }

  /** The port on which the listener listens; 0 before it does. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Listens, and returns the port. Rejects with the system's error if the port is in use. */
  listen(host: string, port: number): Promise<number> {
    this.#server.on('error', ignore); // accept() fails while the process is out of file descriptors, then recovers
    return bind(this.#server, host, port);
  }

  /** Makes every response say `Connection: close`, and closes idle connections late in `delay` (milliseconds). */
  startDraining(delay: number): void {
    this.draining = true;
    if (delay === 0 || this.#endingIdle !== undefined) return;
    this.#endingIdle = new AbortController();
    endIdleLate(this.list, delay, this.#endingIdle.signal).catch(ignore);
  }

  stopDraining(): void {
    this.draining = false;
    this.#endingIdle?.abort();
    this.#endingIdle = undefined;
  }

  /** Stops accepting. Resolves when no request is in flight; none is cut. */
  async stopAccepting(): Promise<void> {
    this.stopDraining();
    this.draining = true;
    await this.#acceptWaiting();
    this.#server.close();
    do {
      await sleep(LAST_BYTES_MS);
      await quietTurn();
      for (const connection of this.list())
        if (['idle', 'silent', 'tls'].includes(connection.state)) connection.close();
      await nextTurn(); // lets a request begin whose bytes were kept until the last answer was out
    } while (this.inFlight > 0);
  }

  /** Refuses every request that is still arriving, and waits a moment for the last answers to go out. */
  async refuseRest(): Promise<void> {
    for (const connection of this.list()) connection.refuseRest(OVERLOAD_HINTS.stopped);
    if (this.inFlight > 0) await sleep(LAST_BYTES_MS);
  }

  /** Ends every connection at once. Resolves when all are closed: each request has then been recorded. */
  async cutAll(): Promise<void> {
    this.#server.close();
    const closes = ({ stream }: Connection) => new Promise<void>((resolve) => stream.once('close', resolve).destroy());
    await Promise.all(this.list().map(closes));
  }

  // --- connections

  #accept(socket: Socket): void {
    this.#accepted++;
    const connection = new Connection(socket, this);
    while (this.#all.size >= this.limits.connections) {
      if (this.#makeRoom(connection.openedAt)) continue;
      this.handler.onTurnedAway?.('limit', connection.address);
      socket.destroy();
      return;
    }
    this.#all.add(connection);
    if (this.#tls === null) connection.open(socket);
    else this.#tls.awaitHello(connection);
  }

  /** Ends one connection to make room. False if each is a tunnel, or has a request that makes progress. */
  #makeRoom(now: number): boolean {
    const connection = this.#room.choose(this.list, now);
    if (connection === null) return false;
    this.#all.delete(connection);
    // One whose head has begun gets a 408, and counts as a request.
    if (connection.isNewcomer && connection.state !== 'head') this.handler.onTurnedAway?.('limit', connection.address);
    const isAnswered = connection.state === 'head' || connection.awaiting !== null;
    connection.refuseRest(OVERLOAD_HINTS.connections);
    // The answer to a streamed body comes some microtasks later. Others end at once, or a request could begin meanwhile.
    if (isAnswered) setImmediate(() => connection.destroy());
    else connection.destroy();
    return true;
  }

  // --- for its connections

  onClosing(connection: Connection): void {
    this.#closing.add(connection);
    dropOldest(this.#closing, MAX_CLOSING)?.destroy();
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection);
    this.#closing.delete(connection);
  }

  // --- the end

  /** Accepts what waits in the kernel: closing would reset it. Node accepts one a turn (libuv/libuv#3696). */
  async #acceptWaiting(): Promise<void> {
    const until = performance.now() + LAST_BYTES_MS;
    let before: number;
    do {
      before = this.#accepted;
      await nextTurn();
    } while (this.#accepted > before && performance.now() < until);
  }
}

/**
 * Listens and returns the port; for port 0 the system chooses one. `::` is dual-stack, or IPv4 alone on a machine
 * without IPv6. Rejects with the system's error, such as `EADDRINUSE`: the operator must learn of it.
 */
export async function bind(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port, backlog: BACKLOG });
  try {
    await once(server, 'listening');
  } catch (error) {
    const noIpv6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(codeOf(error));
    if (host !== '::' || !noIpv6) throw error;
    return bind(server, '0.0.0.0', port);
  }
  return (server.address() as AddressInfo).port;
}
