// From a head to the end of its request: each becomes an exchange, is given on, and is recorded once, at its end.
// It decides nothing: the pipeline hears of every request that may be one.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Head, hasBody, readHead } from '../core/head.ts';
import type { RequestRecord } from '../core/record.ts';
import { connectionOf, endInBounds } from './connection.ts';
import { Exchange } from './exchange.ts';

export interface ServerHooks {
  /** A request's head is here. */
  readonly onRequest: (exchange: Exchange) => void;
  /** Whether a request may leave HTTP for a tunnel; `onRequest` hears of it all the same. */
  readonly mayUpgrade: (head: Head) => boolean;
  /** A request has ended, however it did: the one place where requests are recorded. */
  readonly onEnd: (record: RequestRecord) => void;
}

export class Reception {
  readonly #hooks: ServerHooks;
  #inFlight = 0;
  #idle: (() => void) | null = null;

  constructor(hooks: ServerHooks) {
    this.#hooks = hooks;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Behind a request that is not answered yet a tunnel would come before its answer. */
  mayUpgrade(request: IncomingMessage): boolean {
    const { active, closing } = connectionOf(request.socket);
    return active.length === 0 && !closing && this.#hooks.mayUpgrade(headOf(request));
  }

  request(request: IncomingMessage, response: ServerResponse, expects: boolean): void {
    const connection = connectionOf(request.socket);
    if (connection.closing) {
      request.resume(); // its sender was told that nothing more is taken here, and must send it again elsewhere
      return;
    }
    this.begin(request, response, { expects });
  }

  begin(request: IncomingMessage, response: ServerResponse, how: { expects?: boolean; early?: Buffer }): void {
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
    connection.active.push(exchange);
    this.#inFlight++;
    response.on('close', () => this.end(exchange));
    request.on('error', ignore); // a client that left: 'close' of the response or the socket tells
    this.#hooks.onRequest(exchange);
  }

  end(exchange: Exchange): void {
    const { connection, response } = exchange;
    const place = connection.active.indexOf(exchange);
    if (place < 0) return;
    if (place === connection.active.length - 1) connection.active.pop();
    else connection.active.splice(place, 1);
    const left = !exchange.settled && !response.writableFinished;
    exchange.closed(left);
    if (left && exchange.upstreamFailure === null && (exchange.reason === 'none' || exchange.decision !== 'rejected')) {
      exchange.reason = 'client_closed';
      exchange.status = 499;
    }
    const now = performance.now();
    exchange.durationMs = now - exchange.startedAt;
    this.#hooks.onEnd(exchange);
    if (connection.active.length === 0) {
      connection.idleSince = now;
      if (connection.broken && connection.closeAt === Number.POSITIVE_INFINITY) endInBounds(connection);
    }
    if (--this.#inFlight > 0) return;
    this.#idle?.();
    this.#idle = null;
  }
}

function headOf({ method = '', url: target = '', httpVersion: version, rawHeaders }: IncomingMessage): Head {
  return readHead({ method, target, version }, rawHeaders);
}

function ignore(): void {}
