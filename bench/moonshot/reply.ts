// The upstream's response on its way to one client: head and body as they came, framed anew where the client needs it. It never
// ends a response that did not come whole.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { upstreamFailed } from './answers.ts';
import type { RequestHead } from './request-parser.ts';

/** How the end of a response's body is known. `none`: there is no body. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

export interface ResponseHead {
  readonly status: number;
  /** Status line and end-to-end lines, each with its CRLF, one character a byte. */
  readonly text: string;
  readonly framing: Framing;
}

/** Who carries the request: it can be told that the client left, or reads again. */
export interface Carrier {
  abort(): void;
  resume(): void;
}

const MOST_INTERIM = 16;
/** Bytes up to which a piece goes out in the same string as its framing. */
const JOINED = 4096;

export class Reply {
  carrier: Carrier | null = null;
  readonly request: RequestHead;
  readonly #socket: Socket;
  readonly #done: (whole: boolean) => void;
  #last: boolean;
  /** What waits to be written, one character a byte. */
  #out = '';
  #framing: Framing = 'none';
  #begun = false;
  #ended = false;
  #interim = 0;

  /** `done(false)`: the connection can't go on. */
  constructor(socket: Socket, request: RequestHead, done: (whole: boolean) => void) {
    this.#socket = socket;
    this.request = request;
    this.#last = request.last;
    this.#done = done;
  }

  get last(): boolean {
    return this.#last;
  }

  /** Nothing may follow this response. */
  makeLast(): void {
    this.#last = true;
  }

  /** False: one too many. */
  interim(text: string): boolean {
    if (++this.#interim > MOST_INTERIM) return false;
    // HTTP/1.0 clients know no 1xx (RFC 9110 15.2).
    if (this.request.head.version === '1.1') this.#socket.write(`${text}\r\n`, 'latin1');
    return true;
  }

  begin({ text, framing }: ResponseHead): void {
    this.#begun = true;
    const modern = this.request.head.version === '1.1';
    this.#framing = framing === 'chunked' || framing === 'close' ? (modern ? 'chunked' : 'close') : framing;
    if (this.#framing === 'close') this.#last = true;
    const coding = this.#framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
    this.#put(`${text}${coding}${this.#last ? 'Connection: close\r\n' : ''}\r\n`);
  }

  /** False: hold back until `resume`. */
  data(piece: Buffer): boolean {
    if (this.#ended || piece.length === 0) return true;
    const chunked = this.#framing === 'chunked';
    const [before, after] = chunked ? [`${piece.length.toString(16)}\r\n`, '\r\n'] : ['', ''];
    if (piece.length <= JOINED) this.#put(`${before}${piece.toString('latin1')}${after}`);
    else {
      const text = this.#out + before;
      this.#out = '';
      if (text === '') this.#socket.write(piece);
      else writeBoth(this.#socket, text, piece);
      if (chunked) this.#put(after);
    }
    return !this.#socket.writableNeedDrain;
  }

  end(): void {
    if (this.#ended) return;
    if (this.#framing === 'chunked') this.#out += '0\r\n\r\n';
    this.#flush();
    this.#finish(true);
  }

  /** Before the response began, an answer; after, a cut. */
  fail(status: 502 | 504): void {
    if (this.#ended) return;
    if (this.#begun) {
      this.#out = '';
      // Where the end of the connection is the end of the body, only a reset says that it is not whole.
      if (this.#framing === 'close') this.#socket.resetAndDestroy();
      else this.#socket.destroy();
      return this.#finish(false);
    }
    const { method } = this.request.head;
    this.#socket.write(upstreamFailed(status, { closes: this.#last, headOnly: method === 'HEAD' }));
    this.#finish(true);
  }

  /** The client left. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.carrier?.abort();
  }

  #finish(whole: boolean): void {
    this.#ended = true;
    this.#done(whole);
  }

  /** Head, small pieces and framing of one turn go out as one write: each write of its own is a third of a request's cost. */
  #put(text: string): void {
    if (this.#out === '') queueMicrotask(this.#flush);
    this.#out += text;
  }

  readonly #flush = (): void => {
    if (this.#out === '') return;
    this.#socket.write(this.#out, 'latin1');
    this.#out = '';
  };
}

/** Bytes up to which a copy is cheaper than a second write. */
const COPIED = 16 * 1024;

/** Writes `text` (one character a byte) and `piece` behind it. */
export function writeBoth(socket: Socket, text: string, piece: Buffer): boolean {
  if (piece.length > COPIED) {
    socket.cork();
    socket.write(text, 'latin1');
    const more = socket.write(piece);
    socket.uncork();
    return more;
  }
  const bytes = Buffer.allocUnsafe(text.length + piece.length);
  bytes.write(text, 0, 'latin1');
  piece.copy(bytes, text.length);
  return socket.write(bytes);
}
