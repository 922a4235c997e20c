// Reads a chunked body, for requests and responses alike: sizes and extensions by the grammar, data given out, trailers checked
// and dropped. It must never guess: what is not a chunk ends the message.
import { CHUNK_SIZE, FORBIDDEN_TRAILER, TRAILERS } from './grammar.ts';
import type { Incoming } from './incoming.ts';

/** Bytes of a size with its extensions, and of all trailers. */
const MOST_SIZE_LINE = 256;
const MOST_TRAILERS = 4096;

export type ChunkStep = 'more' | 'done' | 'broken';

export class Chunks {
  #state: 'size' | 'data' | 'data end' | 'trailers' = 'size';
  #left = 0;
  /** How many chunks began: many small ones are an attack on the processor. */
  count = 0;

  reset(): void {
    this.#state = 'size';
    this.count = 0;
  }

  /** Takes what is there; `give` gets each piece of data and says whether it may go on. */
  read(incoming: Incoming, give: (piece: Buffer) => boolean): ChunkStep {
    for (;;) {
      switch (this.#state) {
        case 'size': {
          const step = this.#size(incoming);
          if (step !== null) return step;
          break;
        }
        case 'data': {
          if (incoming.length === 0) return 'more';
          const piece = incoming.take(Math.min(this.#left, incoming.length));
          this.#left -= piece.length;
          if (this.#left === 0) this.#state = 'data end';
          if (!give(piece)) return 'broken';
          break;
        }
        case 'data end': {
          const step = this.#dataEnd(incoming);
          if (step !== null) return step;
          break;
        }
        case 'trailers':
          return this.#trailers(incoming);
        default:
          this.#state satisfies never;
      }
    }
  }

  /** Null: a size was read. */
  #size(incoming: Incoming): ChunkStep | null {
    const end = incoming.find('\r\n', incoming.at);
    if (end < 0) return incoming.length > MOST_SIZE_LINE ? 'broken' : 'more';
    if (end - incoming.at > MOST_SIZE_LINE) return 'broken';
    const size = CHUNK_SIZE.exec(incoming.text(incoming.at, end));
    if (size === null) return 'broken';
    incoming.skip(end + 2 - incoming.at);
    this.#left = Number.parseInt(size[1] ?? '', 16);
    this.#state = this.#left === 0 ? 'trailers' : 'data';
    this.count++;
    return null;
  }

  /** Null: the CRLF behind the data was read. */
  #dataEnd(incoming: Incoming): ChunkStep | null {
    const { bytes, at, length } = incoming;
    if (length > 0 && bytes[at] !== 0x0d) return 'broken';
    if (length < 2) return 'more';
    if (bytes[at + 1] !== 0x0a) return 'broken';
    incoming.skip(2);
    this.#state = 'size';
    return null;
  }

  #trailers(incoming: Incoming): ChunkStep {
    const { bytes, at } = incoming;
    if (incoming.length >= 2 && bytes[at] === 0x0d && bytes[at + 1] === 0x0a) {
      incoming.skip(2);
      return 'done';
    }
    const end = incoming.find('\r\n\r\n', at);
    if (end < 0) return incoming.length > MOST_TRAILERS ? 'broken' : 'more';
    const text = incoming.text(at, end + 4);
    if (text.length > MOST_TRAILERS || !TRAILERS.test(text) || FORBIDDEN_TRAILER.test(text)) return 'broken';
    incoming.skip(text.length);
    return 'done';
  }
}
