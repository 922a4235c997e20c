// The upstream's response on its way to the client: lines and bytes as they came, held back while the client does not read.
// Whether it came whole is for the forward to say (forward.ts); nothing here ends a response that did not.
import type { Dispatcher } from 'undici';
import type { Exchange } from './exchange.ts';
import { MOST_INTERIM, writeInterim } from './interim.ts';
import type { Lingering } from './linger.ts';
import { settlePersistence } from './respond.ts';
import { headLines, plainReason, trailerPairs } from './response-lines.ts';

type Controller = Dispatcher.DispatchController;

export class Relay {
  readonly #exchange: Exchange;
  #controller: Controller | null = null;
  #pausedAt: number | null = null;
  #interim = 0;
  /** The first piece, while it may be the whole body: one `end(piece)` costs a tick less than `write` and `end`. */
  #held: Buffer | null = null;
  /** Until the end of the tick in which the head came. */
  #fresh = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** For how many milliseconds the client has taken nothing; null while it takes what there is. */
  pausedFor(now: number): number | null {
    return this.#pausedAt === null ? null : now - this.#pausedAt;
  }

  /** False: that was one too many. */
  interim(controller: Controller, status: number): boolean {
    if (++this.#interim > MOST_INTERIM) return false;
    const { response, head } = this.#exchange;
    // HTTP/1.0 clients know no 1xx (RFC 9110 15.2).
    if (head.version === '1.1') writeInterim(response, status, headLines(controller.rawHeaders));
    return true;
  }

  /** `unread`: a part of the request is still to come. */
  begin(controller: Controller, status: number, { reason, unread }: { reason: string; unread: boolean }): void {
    this.#controller = controller;
    const { response } = this.#exchange;
    this.#exchange.upstreamStatus = status;
    this.#exchange.status = status;
    response.sendDate = false;
    // The rest of an upload that the upstream answered early would follow as the next request.
    settlePersistence(this.#exchange, unread ? 'close' : 'persist');
    response.writeHead(status, plainReason(reason), headLines(controller.rawHeaders));
    // While the answer waits its turn, node would put the head before an interim response that waits with it.
    if (response.socket === null) response.flushHeaders();
    else {
      // A head whose body comes later must not wait for it; one that came with its body goes out in the same packet.
      this.#fresh = true;
      process.nextTick(flush, this);
    }
  }

  data(chunk: Buffer): void {
    if (this.#fresh && this.#held === null) {
      this.#held = chunk;
      return;
    }
    this.#writeHeld();
    this.#write(chunk);
  }

  /** To be called at the end of the tick in which the head came. */
  flush(): void {
    this.#fresh = false;
    const { response } = this.#exchange;
    if (response.writableEnded || response.destroyed) return;
    if (this.#held === null) response.flushHeaders();
    else this.#writeHeld();
  }

  end(controller: Controller, { unread, lingering }: { unread: boolean; lingering: Lingering }): void {
    const { response } = this.#exchange;
    const trailers = trailerPairs(controller.rawTrailers);
    if (trailers.length > 0) response.addTrailers(trailers);
    if (unread) {
      this.#writeHeld();
      lingering.hold(this.#exchange);
    } else if (this.#held === null) response.end();
    else response.end(this.#held);
  }

  #writeHeld(): void {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#write(held);
  }

  #write(chunk: Buffer): void {
    const { response } = this.#exchange;
    if (response.write(chunk) || this.#pausedAt !== null) return;
    this.#controller?.pause();
    this.#pausedAt = performance.now();
    response.once('drain', () => this.#resume());
  }

  #resume(): void {
    this.#pausedAt = null;
    this.#controller?.resume();
  }
}

/** What carries a response. */
export type Way = Pick<Relay, 'pausedFor' | 'interim' | 'begin' | 'data' | 'end'>;

/** Where a response goes whose client has left. */
export const NOWHERE: Way = {
  pausedFor: () => null,
  interim: () => true,
  begin() {},
  data() {},
  end() {},
};

function flush(relay: Relay): void {
  relay.flush();
}
