// Reads HTTP/1.1 messages, one at a time: the head whole, the body in pieces, and not a byte of what follows. llhttp
// reads heads, chunks and trailers; a body with a length, or up to the close, is only counted.
import type { Buffer } from 'node:buffer';
import { isLine } from './heads.ts';
import { Llhttp, NAME, type Notes, REASON, SLICE, type SpanKind, TARGET, VALUE } from './llhttp.ts';

/** How a body ends. `close`: with the connection, only for a response. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** `too_large`: the head has too many bytes or lines. */
export type ParseFailure = 'malformed' | 'too_large';

/** The most header lines of a head, and trailer lines after a body. */
export const MAX_LINES = 100;
/** The most bytes of chunk framing between two bytes of a body, and of trailers. */
const MAX_BETWEEN = 16 * 1024;

const [HTAB, LF, CR, SP] = [0x09, 0x0a, 0x0d, 0x20];
/** As long as every request line's end. */
const ENDING = ' HTTP/1.1\r\n';
const CODING = 'transfer-encoding';
/** llhttp 9.3 ignores an empty coding beside a length or chunks; 9.4 refuses it, and so does this parser. */
const EMPTY_CODING = '';
const NO_LINES: string[] = [];

export class MessageParser implements Notes {
  readonly #type: 'request' | 'response';
  readonly #mostHead: number;
  readonly #llhttp: Llhttp;

  // --- the message so far

  /** Requests only. */
  method = '';
  target = '';
  /** Responses only. */
  status = 0;
  reason = '';
  /** `1.1`, `1.0`, another version, or `unknown` for another protocol. */
  version = '';
  /** Flat: name, value, name, value …; one character a byte, values without outer white space. */
  lines: string[] = [];
  trailers: string[] = NO_LINES;
  framing: Framing = 'none';
  /** True where the connection may carry another message after this one. */
  keepAlive = false;
  state: 'head' | 'body' | 'ended' | 'failed' = 'head';
  failure: ParseFailure | null = null;
  /** The part of the body in the last `read`: a view into its bytes, without chunk framing. */
  piece: Buffer | null = null;
  /** Chunks, or parts of them, so far. */
  pieces = 0;

  #headBytes = 0;
  /** The request or status line so far, with its line end; the last characters of a request line that is not whole. */
  #startLine = '';
  #requestMethod = '';
  #left = 0;
  #between = 0;
  /** Lines of the head, then of the trailers. */
  #lineCount = 0;
  #lastSpan: SpanKind = TARGET;
  /** A line or trailer says that the connection ends. */
  #closes = false;
  // Of the run under way.
  #bytes: Buffer | null = null;
  readonly #spans: number[] = [];
  #betweenSince = 0;
  #pieceFrom = 0;
  #pieceTo = 0;

  /** `head`: bytes of a head at most, and of the empty lines before it. */
  constructor(type: 'request' | 'response', { head }: { readonly head: number }) {
    this.#type = type;
    this.#mostHead = head;
    this.#llhttp = new Llhttp(type);
  }

  /** True once the head is whole. Later failures are failures of the body. */
  get hasHead(): boolean {
    return this.version !== '' && this.failure !== 'too_large';
  }

  /** Bytes of the body that are still to come; null where that is not known. */
  get left(): number | null {
    if (this.state === 'ended') return 0;
    return this.state === 'body' && this.framing === 'length' ? this.#left : null;
  }

  /** To be called between two messages, never after one that ends its connection. */
  next(): void {
    this.#llhttp.reset();
    this.method = this.target = this.reason = this.version = this.#startLine = '';
    this.status = this.#headBytes = this.#left = this.#between = this.#lineCount = this.pieces = 0;
    this.lines = [];
    this.trailers = NO_LINES;
    this.framing = 'none';
    this.keepAlive = this.#closes = false;
    this.#lastSpan = TARGET;
    this.state = 'head';
    this.failure = this.piece = null;
  }

  /** To be called before a response: it answers a request with this method. */
  answers(method: string): void {
    this.#requestMethod = method;
  }

  /** To be called exactly once, at the end. */
  free(): void {
    this.#llhttp.free();
  }

  /**
   * Reads from `from` on, and gives where it stopped. To be called until the bytes or the message end, or the message
   * fails. Chunk framing is taken out in place, so `bytes` must belong to the caller.
   */
  read(bytes: Buffer, from: number): number {
    this.piece = null;
    if (this.state === 'head') return this.#readHead(bytes, from);
    if (this.state !== 'body') return from;
    return this.framing === 'chunked' ? this.#run(bytes, from, SLICE) : this.#count(bytes, from);
  }

  /** The connection has ended. True: the message ends with it; false: the message is cut. */
  finish(): boolean {
    if (this.state === 'body' && this.framing === 'close') this.state = 'ended';
    return this.state === 'ended';
  }

  #readHead(bytes: Buffer, from: number): number {
    const most = Math.min(this.#mostHead - this.#headBytes, SLICE);
    if (!this.#startLine.endsWith('\n')) this.#noteStartLine(bytes, from, Math.min(bytes.length, from + most));
    const at = this.#run(bytes, from, most);
    if (this.state === 'head') {
      this.#headBytes += at - from;
      if (this.#headBytes >= this.#mostHead) this.#fail('too_large');
    }
    return at;
  }

  #noteStartLine(bytes: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#startLine === '') while (at < to && (bytes[at] === CR || bytes[at] === LF)) at++;
    const end = bytes.indexOf(LF, at) + 1;
    this.#startLine += bytes.toString('latin1', at, end === 0 ? to : Math.min(end, to));
    // A client may send byte by byte, and would have us copy a long line each time.
    if (end === 0 && this.#type === 'request') this.#startLine = this.#startLine.slice(-ENDING.length);
  }

  #run(bytes: Buffer, from: number, most: number): number {
    this.#bytes = bytes;
    this.#betweenSince = from;
    this.#pieceFrom = this.#pieceTo = 0;
    const end = this.#llhttp.run(bytes, from, Math.min(bytes.length, from + most), this);
    const at = from + this.#llhttp.consumed;
    // Offsets must not outlive these bytes.
    this.#takeSpans();
    if (this.#pieceTo > this.#pieceFrom) this.piece = bytes.subarray(this.#pieceFrom, this.#pieceTo);
    this.#bytes = null;
    if (end === 'malformed') this.#fail('malformed');
    else if (this.state === 'body' && (this.framing !== 'chunked' || this.#countBetween(at, at))) {
      // For llhttp a message without chunks has ended with its head.
      if (end === 'complete' && this.framing !== 'length' && this.framing !== 'close') this.state = 'ended';
    }
    return at;
  }

  /** Reads a body with a length, or up to the close. */
  #count(bytes: Buffer, from: number): number {
    const to = Math.min(bytes.length, from + this.#left);
    if (to > from) {
      this.piece = bytes.subarray(from, to);
      this.pieces++;
    }
    this.#left -= to - from;
    if (this.#left === 0) this.state = 'ended';
    return to;
  }

  /** The first failure counts. */
  #fail(failure: ParseFailure): void {
    this.state = 'failed';
    this.failure ??= failure;
  }

  // --- callbacks from llhttp

  span(kind: SpanKind, from: number, to: number): 'go on' | 'stop' {
    this.#spans.push(kind, from, to);
    // A name that comes in two reads is two spans.
    if (kind === NAME && this.#lastSpan !== NAME && ++this.#lineCount > MAX_LINES) {
      this.#fail(this.state === 'head' ? 'too_large' : 'malformed');
      return 'stop';
    }
    this.#lastSpan = kind;
    return 'go on';
  }

  headComplete(keepAlive: boolean): 'body' | 'none' | 'stop' {
    this.#takeSpans();
    trimValues(this.lines);
    this.#lineCount = 0;
    if (this.#type === 'request') this.method = this.#llhttp.method;
    else this.status = this.#llhttp.status;
    const framing = this.#framingOf();
    if (framing === null || !this.#endsStartLine()) return 'stop';
    this.version = this.#isHttp() ? this.#llhttp.version : 'unknown';
    this.framing = framing;
    this.keepAlive = keepAlive && !this.#closes;
    this.state = 'body';
    return this.framing === 'chunked' ? 'body' : 'none';
  }

  /** llhttp 9.3 takes CR CR for the end of a status line. */
  #endsStartLine(): boolean {
    return this.#type === 'request' || this.#startLine.indexOf('\r') === this.#startLine.length - 2;
  }

  /** llhttp does not report it: it reads `RTSP/1.0` and `ICE/1.0` as HTTP, and a line without a protocol as HTTP/0.9. */
  #isHttp(): boolean {
    const line = this.#startLine;
    return this.#type === 'response'
      ? line.startsWith('HTTP/')
      : line.startsWith(' HTTP/', line.length - ENDING.length);
  }

  bodyBegins(at: number): void {
    this.#betweenSince = at;
  }

  body(from: number, to: number): 'go on' | 'stop' {
    if (!this.#countBetween(from, to)) return 'stop';
    this.pieces++;
    if (this.#pieceTo === this.#pieceFrom) this.#pieceFrom = this.#pieceTo = from;
    // Joins chunks in place: a million one-byte chunks become one piece for each read.
    if (this.#pieceTo !== from) this.#bytes?.copyWithin(this.#pieceTo, from, to);
    this.#pieceTo += to - from;
    return 'go on';
  }

  messageComplete(): void {
    this.#takeSpans();
    trimValues(this.trailers);
    this.#readTrailers();
    // Trailers may end the connection, never keep it. llhttp reads no chunks behind CONNECT: no request follows them.
    const may = this.framing === 'chunked' ? this.keepAlive && this.method !== 'CONNECT' : this.framing !== 'close';
    this.keepAlive = may && this.#llhttp.keepAlive && !this.#closes;
  }

  /** Counts framing bytes since the last byte of the body; false where they are too many. */
  #countBetween(from: number, to: number): boolean {
    this.#between += Math.max(0, from - this.#betweenSince);
    if (this.#between > MAX_BETWEEN) {
      this.#fail('malformed');
      return false;
    }
    if (to > from) this.#between = 0;
    this.#betweenSince = to;
    return true;
  }

  /** Null if the head is not reliable. */
  #framingOf(): Framing | null {
    const endless = this.#llhttp.endsWithConnection;
    let coded = false;
    let length = '';
    for (let index = 0; index < this.lines.length; index += 2) {
      if (isLine(this.lines, index, 'content-length')) length = this.lines[index + 1] ?? '';
      else if (isLine(this.lines, index, CODING)) {
        if (this.lines[index + 1] === EMPTY_CODING) return null;
        coded = true;
      } else if (saysClose(this.lines, index)) this.#closes = true;
    }
    if (this.#type === 'response' && this.#isBodiless()) return 'none';
    if (endless) {
      this.#left = Number.POSITIVE_INFINITY;
      return 'close';
    }
    if (coded) return 'chunked';
    if (length === '') return 'none';
    // A length too large for an exact number never ends: nobody can send so much, and the close is then a cut.
    this.#left = Number(length);
    if (!Number.isSafeInteger(this.#left)) this.#left = Number.POSITIVE_INFINITY;
    return this.#left === 0 ? 'none' : 'length';
  }

  /** A response to HEAD and these statuses have no body, whatever their head says (RFC 9112 6.3). */
  #isBodiless(): boolean {
    const { status } = this;
    return this.#requestMethod === 'HEAD' || (status >= 100 && status < 200) || status === 204 || status === 304;
  }

  #readTrailers(): void {
    for (let index = 0; index < this.trailers.length; index += 2) {
      if (saysClose(this.trailers, index)) this.#closes = true;
      if (isLine(this.trailers, index, CODING) && this.trailers[index + 1] === EMPTY_CODING) this.#fail('malformed');
    }
  }

  /** Makes texts of the offsets. All texts of a run are slices of one: one call instead of forty. */
  #takeSpans(): void {
    const spans = this.#spans;
    const bytes = this.#bytes;
    if (bytes === null || spans.length === 0) return;
    const inHead = this.state === 'head';
    const base = spans[1] ?? 0;
    const text = bytes.toString('latin1', base, spans[spans.length - 1] ?? base);
    if (!inHead && this.trailers === NO_LINES) this.trailers = [];
    const lines = inHead ? this.lines : this.trailers;
    for (let index = 0; index < spans.length; index += 3) {
      const part = text.slice((spans[index + 1] ?? 0) - base, (spans[index + 2] ?? 0) - base);
      const kind = spans[index] as SpanKind;
      if (kind === TARGET) this.target += part;
      else if (kind === REASON) this.reason += part;
      else if ((lines.length % 2 === 1) === (kind === VALUE)) lines.push(part);
      else lines[lines.length - 1] += part;
    }
    spans.length = 0;
  }
}

/**
 * Removes SP and HTAB from the ends of values, which llhttp leaves there (RFC 9112 5.1). Never `.trim()`: that also
 * removes U+00A0 and other bytes that belong to a value.
 */
function trimValues(lines: string[]): void {
  for (let index = 1; index < lines.length; index += 2) {
    const value = lines[index] ?? '';
    let end = value.length;
    while (end > 0 && isOuterSpace(value.charCodeAt(end - 1))) end--;
    if (end < value.length) lines[index] = value.slice(0, end);
  }
}

function isOuterSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

/** True for a Connection line with the option `close`. llhttp 9.3 misses it if a tab follows. */
function saysClose(lines: readonly string[], index: number): boolean {
  if (!isLine(lines, index, 'connection') && !isLine(lines, index, 'proxy-connection')) return false;
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(lines[index + 1] ?? '');
}
