// Clients that still write after their answer: what they send is read and dropped, within bounds, then the connection ends.
import type { Exchange } from './exchange.ts';
import { freeSoon } from './freed.ts';

const LINGER_MS = 2000;
const IDLE_MS = 1000;
const LINGER_BYTES = 32 * 1024 * 1024;
/** Bytes; a rest in smaller pieces costs too much to be polite to. */
const SMALL_PIECE = 64;
/** More of them than this are cut at once: lingering is a courtesy, and the attacker's to multiply. */
const MOST = 256;

interface Rest {
  readonly exchange: Exchange;
  /** True where the response is kept open until the client has finished. */
  readonly held: boolean;
  readonly until: number;
  idleSince: number;
  bytes: number;
  pieces: number;
}

export class Lingering {
  readonly #rests = new Map<Exchange, Rest>();

  get size(): number {
    return this.#rests.size;
  }

  /** The response has ended; what is left of a short body is dropped, and the connection stays if that ends in time. */
  drain(exchange: Exchange): void {
    this.#add(exchange, false);
  }

  /** The response is written but not ended: it ends when the client has, or at the bound. */
  hold(exchange: Exchange): void {
    this.#add(exchange, true);
  }

  /** The client has sent all that it had. */
  finish(exchange: Exchange | null): void {
    const rest = exchange === null ? undefined : this.#rests.get(exchange);
    if (rest !== undefined) this.#cut(rest);
  }

  #add(exchange: Exchange, held: boolean): void {
    const { request, response } = exchange;
    if (this.#rests.size >= MOST) {
      response.end(() => request.socket.destroy());
      return;
    }
    const now = performance.now();
    const rest: Rest = { exchange, held, until: now + LINGER_MS, idleSince: now, bytes: 0, pieces: 0 };
    this.#rests.set(exchange, rest);
    const ended = () => {
      this.#rests.delete(exchange);
      if (held && !response.writableEnded) response.end();
    };
    request.on('data', (chunk: Buffer) => {
      freeSoon(chunk); // left to the collector, what 200 clients with 1 MiB each have sent in vain is 60 MB at times
      rest.bytes += chunk.length;
      rest.idleSince = performance.now();
      if (rest.bytes > LINGER_BYTES || ++rest.pieces > 1024 + rest.bytes / SMALL_PIECE) this.#cut(rest);
    });
    request.once('end', ended);
    request.once('close', ended);
    request.resume();
  }

  /** To be called about twice a second. */
  sweep(now: number): void {
    for (const rest of this.#rests.values()) {
      if (now >= rest.until || now - rest.idleSince >= IDLE_MS) this.#cut(rest);
    }
  }

  #cut(rest: Rest): void {
    this.#rests.delete(rest.exchange);
    const { request, response } = rest.exchange;
    if (response.writableEnded) request.socket.destroy();
    else response.end(() => request.socket.destroy());
  }
}
