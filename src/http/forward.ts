// One permitted request on its way to the upstream and its response on the way back: bytes as they came, backpressure both
// ways, and for every end an answer or a cut. What may have been processed is never sent again (RFC 9110 9.2.2).
import type { Dispatcher } from 'undici';
import type { Reason } from '../core/decision.ts';
import { hasBody } from '../core/head.ts';
import type { Hold } from '../core/hold.ts';
import type { Permit } from '../core/permit.ts';
import type { UpstreamFailure } from '../core/record.ts';
import type { Exchange } from './exchange.ts';
import { codeOf, failureOf, isWorthRetrying } from './failures.ts';
import type { Lane } from './lanes.ts';
import type { Lingering } from './linger.ts';
import { NOWHERE, Relay, type Way } from './relay.ts';
import { type Answer, answer, BAD_GATEWAY, cut, GATEWAY_TIMEOUT, refusal } from './respond.ts';
import { Upload } from './upload.ts';
import type { Sender, Upstream } from './upstream.ts';

export interface ForwardOptions {
  /** The request's end-to-end lines as they go out. */
  readonly headers: string[];
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  readonly lingering: Lingering;
  /** With one the client's leaving does not abort the upstream: its 2xx still counts. */
  readonly hold: Hold | null;
  readonly onInformation: (route: string) => void;
}

type Controller = Dispatcher.DispatchController;

/** A client that sends fewer bytes a millisecond than this (8 KiB a second) keeps its slot only while nobody else needs it. */
const SLOW_RATE = 8;

// Methods rather than closures: two objects a request are the whole cost of a forward.
export class Forward implements Sender {
  place = -1;
  lane: Lane | null = null;
  readonly #permit: Permit;
  readonly #exchange: Exchange;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  #relay: Way;
  readonly #startedAt = performance.now();
  /** The body where it streams; null where it was read, or there is none. */
  #upload: Upload | null = null;
  #controller: Controller | null = null;
  #connectFailure: Error | null = null;
  /** undici has the request and will tell of its end, however it comes. */
  #dispatched = false;
  #ended = false;
  #grantedAt = 0;
  #status = 0;

  constructor(permit: Permit, exchange: Exchange, upstream: Upstream, options: ForwardOptions) {
    this.#permit = permit;
    this.#exchange = exchange;
    this.#upstream = upstream;
    this.#options = options;
    this.#relay = new Relay(exchange);
  }

  start(): void {
    const { request, head, connection } = this.#exchange;
    const { idleTimeout } = this.#options;
    this.#exchange.onClose(this.#onClose);
    connection.stallTimeout = idleTimeout;
    if (this.#permit.body !== null || !hasBody(head)) {
      if (this.#permit.body === null) request.resume();
      return this.#claim();
    }
    this.#upload = new Upload(this.#exchange, {
      idleTimeout,
      turns: this.#upstream.turns,
      onFailure: (failure) => this.#refuse(failure),
    });
    this.#exchange.upload = this.#upload;
    if (!this.#upstream.slots.scarce) return this.#claim();
    // While slots are scarce a body must be here, or well on its way, before it gets one.
    this.#invite();
    this.#upload.whenReady(this.#upstream.options.retryConnectFor / 2, () => this.#claim());
  }

  // --- a slot

  granted(): void {
    const { head } = this.#exchange;
    this.#grantedAt = performance.now();
    this.#dispatched = true;
    this.#upstream.dispatch(
      this.#permit,
      {
        path: head.target,
        method: head.method as Dispatcher.HttpMethod,
        headers: this.#options.headers,
        body: (this.#permit.body ?? this.#upload) as Dispatcher.DispatchOptions['body'] & {},
        headersTimeout: this.#options.responseTimeout,
        bodyTimeout: this.#options.idleTimeout,
        reset: false,
      },
      this,
    );
  }

  expired(down: boolean): void {
    if (this.#connectFailure !== null || down) this.#failBeforeSent(this.#connectFailure);
    else this.#refuse('overloaded');
  }

  dawdles(now: number): number {
    const paused = this.#relay.pausedFor(now);
    if (paused !== null) return paused;
    return this.#upload?.waitsFor(SLOW_RATE, now) === true ? now - this.#grantedAt : 0;
  }

  evict(): void {
    // The upstream is through, or nearly: its 2xx counts although this client dawdled over it.
    if (this.#options.hold !== null && this.#exchange.response.headersSent) cut(this.#exchange);
    else this.#refuse('overloaded');
  }

  #claim(): void {
    if (this.#upstream.slots.tryTake(this)) this.granted();
    else this.#wait();
  }

  #wait(): void {
    const timeLeft = this.#startedAt + this.#upstream.options.retryConnectFor - performance.now();
    if (!this.#upstream.slots.wait(this, Math.max(timeLeft, 0))) this.#refuse('overloaded');
  }

  /** `Expect: 100-continue`: the client waits to be told. */
  #invite(): void {
    if (!this.#exchange.awaitsContinue || this.#permit.body !== null) return;
    this.#exchange.awaitsContinue = false;
    this.#exchange.response.writeContinue();
  }

  // --- undici's handler

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error('the client left'));
    else this.#invite();
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason = ''): void {
    if (status < 200) {
      if (!this.#relay.interim(controller, status)) this.#failAfterSent('protocol');
      else this.#options.onInformation(this.#exchange.route);
      return;
    }
    this.#status = status;
    this.#exchange.upstreamMs = performance.now() - this.#startedAt;
    this.#relay.begin(controller, status, { reason, unread: this.#isUnread() });
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#relay.data(chunk);
  }

  onResponseEnd(controller: Controller): void {
    this.#dispatched = false;
    if (this.#upstream.breaking) return this.#failAfterSent('reset');
    if (this.#status < 300) this.#options.hold?.delivered();
    const unread = this.#isUnread();
    this.#end();
    this.#relay.end(controller, { unread, lingering: this.#options.lingering });
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    this.#dispatched = false;
    if (this.#ended) this.#release();
    else if (this.#controller !== null) this.#failAfterSent(failureOf(error));
    else if (isWorthRetrying(error)) this.#retryConnect(error);
    else this.#failBeforeSent(error);
  }

  // --- ends

  /** No byte was sent, so another try is safe whatever the method. */
  #retryConnect(error: Error): void {
    this.#connectFailure = error;
    this.#upstream.connectFailed();
    this.#upstream.stepBack(this);
    this.#wait();
  }

  #failBeforeSent(error: Error | null): void {
    this.#exchange.upstreamFailure = 'connect';
    this.#answer(codeOf(error) === 'UND_ERR_CONNECT_TIMEOUT' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
  }

  #failAfterSent(cause: UpstreamFailure): void {
    this.#exchange.upstreamFailure = cause;
    this.#answer(cause === 'timeout' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
  }

  /** The client's fault, or want of room. A response that has begun is cut, and the decision stays what it was. */
  #refuse(reason: Reason): void {
    if (!this.#exchange.response.headersSent) {
      this.#exchange.decision = 'rejected';
      this.#exchange.reason = reason;
    }
    this.#answer(refusal(reason, null));
  }

  #answer(given: Answer): void {
    this.#end();
    if (this.#exchange.response.destroyed) return; // the client left first
    if (this.#exchange.response.headersSent) cut(this.#exchange);
    else answer(this.#exchange, given, this.#options.lingering);
  }

  #end(): void {
    this.#ended = true;
    this.#exchange.onClose(null);
    this.#upload?.stop();
    if (!this.#dispatched) this.#release();
    // Not begun yet, undici can't take it back: onRequestStart aborts it. Either way onResponseError follows.
    else this.#controller?.abort(new Error('the client left'));
  }

  #release(): void {
    this.#options.hold?.failed();
    this.#exchange.body?.release();
    this.#upstream.leave(this);
  }

  readonly #onClose = (): void => {
    if (this.#options.hold === null || this.#controller === null || !this.#dispatched) return this.#end();
    this.#relay = NOWHERE;
    this.#controller.resume();
  };

  #isUnread(): boolean {
    return this.#upload !== null && !this.#exchange.request.complete;
  }
}
