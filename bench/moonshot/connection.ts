// One client connection: requests in, one at a time and in order, answers out. It decides nothing (gatekeeper.ts), knows no grammar
// (request-parser.ts), and holds to deadlines that its server's tick looks at.
import type { Socket } from 'node:net';
import type { Reason } from '../../src/core/decision.ts';
import { declaredLength, hasBody } from '../../src/core/head.ts';
import type { Permit } from '../../src/core/permit.ts';
import { refusal } from './answers.ts';
import type { Gatekeeper, Plan, Refuse } from './gatekeeper.ts';
import { Reply } from './reply.ts';
import { type ParserLimits, type RequestHead, RequestParser } from './request-parser.ts';

/** What carries permitted requests to the upstream and tells the reply how it went. */
export interface Upstream {
  /** `body`: what goes out where the permit holds none. */
  send(permit: Permit, body: Buffer, reply: Reply): void;
}

/** Times in milliseconds. */
export interface Limits extends ParserLimits {
  readonly keepAlive: number;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
}

export interface Services {
  readonly gatekeeper: Gatekeeper;
  readonly upstream: Upstream;
  readonly limits: Limits;
  /** A coarse clock: milliseconds, moved by the tick. */
  readonly clock: { now: number };
}

/** Bytes that pipelined requests may wait with, that a refused request's body may still have, and that are dropped at the end. */
const MOST_WAITING = 64 * 1024;
const MOST_DRAINED = 64 * 1024;
const MOST_DROPPED = 1024 * 1024;
const LINGER_MS = 2000;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

export class Connection {
  deadline: number;
  readonly #socket: Socket;
  readonly #services: Services;
  readonly #parser: RequestParser;
  #phase: 'new' | 'idle' | 'head' | 'body' | 'busy' | 'closing' = 'new';
  #request: RequestHead | null = null;
  #plan: Exclude<Plan, Refuse> | null = null;
  #reply: Reply | null = null;
  #halfClosed = false;
  #dropped = 0;

  constructor(socket: Socket, services: Services) {
    this.#socket = socket;
    this.#services = services;
    this.#parser = new RequestParser(services.limits);
    this.deadline = services.clock.now + services.limits.headersTimeout;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', () => this.#reply?.carrier?.resume());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#reply?.abandon());
  }

  /** The deadline has passed. */
  expire(): void {
    if (this.#phase === 'head') this.#close('header_timeout');
    else if (this.#phase === 'body') this.#close('body_timeout');
    else this.#socket.destroy();
  }

  readonly #onData = (piece: Buffer): void => {
    if (this.#phase === 'closing') {
      this.#dropped += piece.length;
      if (this.#dropped > MOST_DROPPED) this.#socket.destroy();
      return;
    }
    this.#parser.push(piece);
    if (this.#phase !== 'busy') this.#advance();
    else if (this.#parser.waiting > MOST_WAITING) this.#socket.pause();
  };

  #advance(): void {
    for (;;) {
      const step = this.#parser.next();
      switch (step.kind) {
        case 'more':
          return this.#await();
        case 'refused':
          return this.#close(step.reason);
        case 'head':
          if (!this.#onHead(step.request)) return;
          break;
        case 'body':
          if (!this.#onBody(step.body)) return;
          break;
        default:
          step satisfies never;
      }
    }
  }

  #await(): void {
    if (this.#halfClosed) return this.#end();
    const { phase } = this.#parser;
    if (phase === this.#phase || (phase === 'idle' && this.#phase === 'new')) return;
    const { clock, limits } = this.#services;
    const allowed = { idle: limits.keepAlive, head: limits.headersTimeout, body: limits.bodyTimeout }[phase];
    this.#phase = phase;
    this.deadline = clock.now + allowed;
  }

  /** False: nothing more is to be read now. */
  #onHead(request: RequestHead): boolean {
    this.#request = request;
    const plan = this.#services.gatekeeper.plan(request.head, Date.now());
    if (plan.kind === 'refuse') return this.#refuseUnread(request, plan);
    this.#plan = plan;
    this.#parser.acceptBody(plan.maxBody);
    const { head } = request;
    const asks = head.expect !== null && head.version === '1.1' && hasBody(head);
    if (asks && this.#parser.waiting === 0) this.#socket.write(CONTINUE, 'latin1');
    return true;
  }

  #onBody(body: Buffer): boolean {
    const [request, plan] = [this.#request, this.#plan];
    if (request === null || plan === null) throw new Error('a body without a head');
    const verdict = plan.kind === 'pass' ? plan.permit : this.#services.gatekeeper.verdict(plan, body);
    if ('kind' in verdict) return this.#answer(request, verdict, request.last);
    this.#phase = 'busy';
    this.deadline = Number.POSITIVE_INFINITY;
    this.#reply = new Reply(this.#socket, request, this.#onReplied);
    this.#services.upstream.send(verdict, body, this.#reply);
    return false;
  }

  readonly #onReplied = (whole: boolean): void => {
    const last = this.#reply?.last === true;
    this.#reply = null;
    if (!whole) return;
    if (last) return this.#end();
    this.#phase = 'new';
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#advance();
  };

  /** What can be refused without the body is. A short rest is dropped and the connection stays; a longer one ends it. */
  #refuseUnread(request: RequestHead, refuse: Refuse): boolean {
    const { head, last } = request;
    const declared = declaredLength(head);
    const closes =
      last || refuse.reason === 'bad_request' || head.expect !== null || declared === null || declared > MOST_DRAINED;
    this.#parser.skipBody();
    return this.#answer(request, refuse, closes);
  }

  #answer({ head }: RequestHead, { reason, allow }: Refuse, closes: boolean): boolean {
    const bytes = refusal(reason, allow, { closes, headOnly: head.method === 'HEAD' });
    this.#phase = 'new';
    if (closes) this.#end(bytes);
    else this.#socket.write(bytes);
    return !closes;
  }

  #close(reason: Reason): void {
    this.#end(refusal(reason, null, { closes: true, headOnly: false }));
  }

  /** The last bytes, then a half-close: a client that is still writing must not be reset before it has read them (RFC 9112 9.6). */
  #end(bytes?: Buffer): void {
    this.#phase = 'closing';
    this.deadline = this.#services.clock.now + LINGER_MS;
    if (this.#socket.isPaused()) this.#socket.resume();
    if (bytes === undefined) this.#socket.end();
    else this.#socket.end(bytes);
  }

  readonly #onEnd = (): void => {
    this.#halfClosed = true;
    if (this.#reply !== null) this.#reply.makeLast();
    else if (this.#phase !== 'closing') this.#end();
  };
}
