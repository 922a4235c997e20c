// One permitted request on its way to the upstream and its response on the way back: bytes as they came, backpressure both
// ways, and for every end an answer or a cut. What may have been processed is never sent again (RFC 9110 9.2.2).
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { hasBody } from '../core/head.ts';
import { endToEnd } from '../core/headers.ts';
import type { Permit } from '../core/permit.ts';
import type { UpstreamFailure } from '../core/record.ts';
import type { Exchange } from './exchange.ts';
import type { Lingering } from './linger.ts';
import { type Answer, answer, BAD_GATEWAY, cut, GATEWAY_TIMEOUT, refusal, settlePersistence } from './respond.ts';
import type { Waiter } from './slots.ts';
import type { Upstream } from './upstream.ts';

export interface ForwardOptions {
  /** The request's end-to-end lines as they go out. */
  readonly headers: string[];
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  readonly lingering: Lingering;
  readonly onInformation: () => void;
}

type Controller = Dispatcher.DispatchController;

// Methods rather than closures: one object a request is the whole cost of a forward.
export class Forward implements Waiter, Dispatcher.DispatchHandler {
  readonly #permit: Permit;
  readonly #exchange: Exchange;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly #dispatchedAt = performance.now();
  #controller: Controller | null = null;
  #connectFailure: Error | null = null;
  #holdsSlot = false;
  #ended = false;
  #stall: NodeJS.Timeout | null = null;

  constructor(permit: Permit, exchange: Exchange, upstream: Upstream, options: ForwardOptions) {
    this.#permit = permit;
    this.#exchange = exchange;
    this.#upstream = upstream;
    this.#options = options;
  }

  start(): void {
    this.#exchange.onClose(this.#onClose);
    if (this.#upstream.slots.tryTake()) this.granted();
    else if (!this.#wait()) this.#overloaded();
  }

  // --- waiting for a slot

  granted(): void {
    this.#holdsSlot = true;
    const { request, head } = this.#exchange;
    const body = this.#permit.body ?? (hasBody(head) ? streamed(this.#exchange) : null);
    if (this.#exchange.awaitsContinue && this.#permit.body === null) {
      this.#exchange.awaitsContinue = false;
      this.#exchange.response.writeContinue();
    }
    if (body === null) request.resume();
    this.#upstream.dispatch(
      this.#permit,
      {
        path: head.target,
        method: head.method as Dispatcher.HttpMethod,
        headers: this.#options.headers,
        body: body as Dispatcher.DispatchOptions['body'] & {},
        headersTimeout: this.#options.responseTimeout,
        bodyTimeout: this.#options.idleTimeout,
        reset: false,
      },
      this,
    );
  }

  expired(down: boolean): void {
    if (this.#connectFailure !== null || down) this.#failBeforeSent(this.#connectFailure);
    else this.#overloaded();
  }

  #wait(): boolean {
    return this.#upstream.slots.wait(this, Math.max(this.#timeLeft(), 0));
  }

  #timeLeft(): number {
    return this.#dispatchedAt + this.#upstream.options.retryConnectFor - performance.now();
  }

  // --- undici's handler

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error('the client left'));
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason?: string): void {
    const { response, head } = this.#exchange;
    const lines = endToEnd(latin1(controller.rawHeaders));
    if (status < 200) {
      this.#options.onInformation();
      // HTTP/1.0 clients know no 1xx (RFC 9110 15.2).
      if (head.version === '1.1' && status !== 101) response.writeInformation(status, lines);
      return;
    }
    this.#exchange.upstreamMs = performance.now() - this.#dispatchedAt;
    this.#exchange.upstreamStatus = status;
    this.#exchange.status = status;
    response.sendDate = false;
    // The rest of an upload that the upstream answered early would follow as the next request.
    const early = !this.#exchange.request.complete && hasBody(head);
    settlePersistence(this.#exchange, early ? 'close' : 'persist');
    response.writeHead(status, plainReason(reason), lines);
    // A head whose body comes later must not wait for it; one that came with its body goes out in the same packet.
    process.nextTick(flush, response);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    const { response } = this.#exchange;
    if (response.write(chunk)) return;
    controller.pause();
    response.once('drain', this.#onDrain);
    const { idleTimeout } = this.#options;
    if (idleTimeout > 0) this.#stall = setTimeout(this.#onStalled, idleTimeout);
  }

  onResponseEnd(controller: Controller): void {
    this.#end();
    const { response, request, head } = this.#exchange;
    const trailers = latin1(controller.rawTrailers);
    if (trailers.length > 0) response.addTrailers(pairs(trailers));
    if (request.complete || !hasBody(head)) response.end();
    else this.#options.lingering.hold(this.#exchange);
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    if (this.#ended) {
      this.#release();
    } else if (this.#controller === null) {
      if (isWorthRetrying(error)) this.#retryConnect(error);
      else this.#failBeforeSent(error);
    } else {
      this.#exchange.upstreamFailure = failureOf(error);
      this.#answer(this.#exchange.upstreamFailure === 'timeout' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
    }
  }

  // --- ends

  /** No byte was sent, so another try is safe whatever the method. */
  #retryConnect(error: Error): void {
    this.#connectFailure = error;
    if (this.#timeLeft() <= 0) {
      this.#failBeforeSent(error);
      return;
    }
    this.#upstream.connectFailed();
    this.#releaseSlot();
    if (!this.#wait()) this.#overloaded();
  }

  #failBeforeSent(error: Error | null): void {
    this.#exchange.upstreamFailure = 'connect';
    this.#answer(codeOf(error) === 'UND_ERR_CONNECT_TIMEOUT' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
  }

  #overloaded(): void {
    this.#exchange.decision = 'rejected';
    this.#exchange.reason = 'overloaded';
    this.#answer(refusal('overloaded', null));
  }

  #answer(given: Answer): void {
    this.#end();
    if (this.#exchange.response.headersSent) cut(this.#exchange.response);
    else answer(this.#exchange, given, this.#options.lingering);
  }

  #end(): void {
    this.#ended = true;
    this.#exchange.onClose(null);
    this.#release();
  }

  #release(): void {
    if (this.#stall !== null) clearTimeout(this.#stall);
    this.#stall = null;
    this.#exchange.body?.release();
    this.#releaseSlot();
  }

  #releaseSlot(): void {
    if (!this.#holdsSlot) return;
    this.#holdsSlot = false;
    this.#upstream.slots.release();
  }

  readonly #onDrain = (): void => {
    if (this.#stall !== null) clearTimeout(this.#stall);
    this.#stall = null;
    this.#controller?.resume();
  };

  /** A client that stopped reading must not hold an upstream socket for ever. */
  readonly #onStalled = (): void => {
    this.#exchange.response.destroy();
  };

  readonly #onClose = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#upstream.slots.leave(this);
    // Not yet started: undici can't take it back; onRequestStart aborts it and onResponseError gives the slot back.
    if (this.#controller !== null) this.#controller.abort(new Error('the client left'));
    else if (!this.#holdsSlot) this.#release();
  };
}

function flush(response: ServerResponse): void {
  if (!response.writableEnded && !response.destroyed) response.flushHeaders();
}

/** undici destroys a stream that it was given when a request fails, and the client's answer with it; an iterator it leaves. */
function streamed(exchange: Exchange): AsyncIterable<Buffer> {
  const { request } = exchange;
  return { [Symbol.asyncIterator]: () => counted(request, exchange) };
}

async function* counted(request: IncomingMessage, exchange: Exchange): AsyncGenerator<Buffer> {
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    exchange.bodyBytes += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  // A client that left, or a parser that broke off, ends the stream too: what is not whole must not look whole.
  if (!request.complete) throw new Error('the request body did not come whole');
}

function latin1(raw: readonly (Buffer | string)[] | Record<string, unknown> | null | undefined): string[] {
  if (!Array.isArray(raw)) return [];
  return (raw as readonly (Buffer | string)[]).map((part) =>
    typeof part === 'string' ? part : part.toString('latin1'),
  );
}

function pairs(lines: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let index = 0; index < lines.length; index += 2) result.push([lines[index] ?? '', lines[index + 1] ?? '']);
  return result;
}

/** undici gives the reason phrase as UTF-8 text; node writes latin1 and throws on what is not, so it goes back to bytes. */
function plainReason(reason: string | undefined): string {
  if (reason === undefined || /^[\x20-\x7e]*$/.test(reason)) return reason ?? '';
  // Where the bytes were no UTF-8 they are lost; node puts the standard phrase in the place of an empty one.
  if (reason.includes('\ufffd')) return '';
  const bytes = Buffer.from(reason, 'utf8').toString('latin1');
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(bytes) ? bytes : '';
}

function codeOf(error: Error | null): string {
  return (error as { code?: unknown } | null)?.code?.toString() ?? '';
}

/** A certificate that does not fit will not fit in a second either; everything else before the first byte may pass. */
function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|UND_ERR_(?:INVALID_ARG|NOT_SUPPORTED|DESTROYED|CLOSED))/.test(
    codeOf(error),
  );
}

function failureOf(error: Error): UpstreamFailure {
  const code = codeOf(error);
  if (code.endsWith('_TIMEOUT')) return 'timeout';
  if (/^(?:HPE_|UND_ERR_RES_|UND_ERR_HEADERS_OVERFLOW)/.test(code) || error.name === 'HTTPParserError')
    return 'protocol';
  return /^bad (?:response|upgrade)/.test(error.message) ? 'protocol' : 'reset';
}
