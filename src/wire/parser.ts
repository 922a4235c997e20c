// Reads HTTP/1.1 messages, one at a time: the head whole, the body in pieces, and not a byte of what follows. llhttp
// reads heads, chunks and trailers; the bytes of a body that has a length, or lasts until the close, are only counted.
// test/unit/wire/llhttp.test.ts shows each of llhttp's oddities that is worked around here.
import type { Buffer } from 'node:buffer';
import { NO_BYTES } from '../base/bytes.ts';
import { listsClose, MAX_LINES, withoutTrailingSpace } from '../core/header-lines.ts';
import { lowerCaseName, nameIn } from '../core/header-names.ts';
import { Llhttp, NAME, REASON, SLICE, spans, TARGET, VALUE } from './llhttp.ts';

/** How a body ends. `close`: with the connection, only for a response. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** The most bytes of chunk framing (sizes, extensions, trailers) before a byte of a body, and after the last. */
const MAX_CHUNK_FRAMING = 16 * 1024;

const [LF, CR, SP] = [0x0a, 0x0d, 0x20];
/** The end of a request line; only its length counts. */
const ENDING = ' HTTP/1.1\r\n';
/** The beginning of a request line whose answer has no body (RFC 9110 9.3.2). */
const HEAD = 'HEAD ';
const NO_LINES: string[] = [];

/** A response's head, with the value of Content-Length. */
export type ResponseHead = Pick<MessageParser, 'status' | 'reason' | 'lines' | 'framing' | 'length'>;

export class MessageParser {
  readonly #type: 'request' | 'response';
  readonly #mostHead: number;
  readonly #mostLines: number;
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
  /** Flat: name, value, name, value …; one character per byte, values without outer white space. */
  lines: string[] = [];
  trailers: string[] = NO_LINES;
  framing: Framing = 'none';
  /**
   * True for any transfer coding but a single `chunked`: as the header is dropped, coded bytes would pass as plain.
   * Also true for a spelling of `chunked` that llhttp does not know, since llhttp then reads up to the close.
   */
  coded = false;
  /** True if the connection may carry another message after this one. */
  keepAlive = false;
  state: 'head' | 'body' | 'ended' | 'failed' = 'head';
  /** `too_large`: the head has too many bytes or lines. */
  failure: 'malformed' | 'too_large' | null = null;
  /** The part of the body in the last `read`: a view into its bytes, without chunk framing. */
  piece: Buffer | null = null;
  /** Pieces of the body so far: chunks, parts of chunks or, without chunking, reads. */
  pieces = 0;
  /** Bytes of the body that are still to come; Infinity if unknown. */
  remaining = Number.POSITIVE_INFINITY;
  /** The value of Content-Length as sent; empty if there is none. */
  length = '';
  /** Responses only: the method of the request that the next response answers. */
  requestMethod = '';

  #headBytes = 0;
  /** The status or request line with its line end. Of a request line that comes in parts, only both ends are kept. */
  #startLine = '';
  #chunkFraming = 0;
  /** True if a header line or trailer says that the connection ends. */
  #closes = false;
  // State of the current run.
  #bytes: Buffer = NO_BYTES;
  #framingFrom = 0;
  #pieceFrom = 0;
  #pieceTo = 0;

  /** `mostHead`: the most bytes of a head and the empty lines before it. `mostLines`: the most lines of a head. */
  constructor(type: 'request' | 'response', mostHead: number, mostLines = MAX_LINES) {
    this.#type = type;
    this.#mostHead = mostHead;
    this.#mostLines = mostLines;
    this.#llhttp = new Llhttp(type);
  }

  /** True once the head is whole. Later failures are failures of the body. */
  get hasHead(): boolean {
    return this.version !== '';
  }

  get isAtStart(): boolean {
    return this.state === 'head' && this.#headBytes === 0 && this.#startLine === '';
  }

  /** True for a HEAD request, also while its head is not whole, or if it never will be. */
  get isHeadRequest(): boolean {
    return this.#startLine.startsWith(HEAD);
  }

  /** Prepares for the next message. Never call it after a message that ends its connection. */
  next(): void {
    this.#llhttp.reset();
    this.method = this.target = this.reason = this.version = this.length = this.#startLine = '';
    this.status = this.#headBytes = this.#chunkFraming = this.pieces = 0;
    this.remaining = Number.POSITIVE_INFINITY;
    this.lines = [];
    this.trailers = NO_LINES;
    this.framing = 'none';
    this.keepAlive = this.coded = this.#closes = false;
    this.state = 'head';
    this.failure = this.piece = null;
  }

  /** Call it exactly once, at the end. */
  free(): void {
    this.#llhttp.free();
  }

  /**
   * Reads from `from` on and returns where it stopped. Call it until the bytes or the message end, or the message
   * fails. Chunk framing is removed in place, so the caller must own `bytes`.
   */
  read(bytes: Buffer, from: number): number {
    this.piece = null;
    if (this.state === 'head') return this.#readHead(bytes, from);
    if (this.state !== 'body') return from;
    return this.framing === 'chunked' ? this.#run(bytes, from, SLICE) : this.#count(bytes, from);
  }

  /** Called when the connection has ended. Returns true if the message is complete, false if it is cut. */
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
    // Only both ends are kept: a client that sends byte by byte would otherwise make us copy a long line for each byte.
    const line = this.#startLine;
    if (end === 0 && this.#type === 'request' && line.length > HEAD.length + ENDING.length)
      this.#startLine = line.slice(0, HEAD.length) + line.slice(-ENDING.length);
  }

  #run(bytes: Buffer, from: number, most: number): number {
    this.#bytes = bytes;
    this.#framingFrom = from;
    this.#pieceFrom = this.#pieceTo = 0;
    // `run` calls `headComplete` and what follows it below, which set state, framing and the piece.
    const end = this.#llhttp.run(bytes, from, Math.min(bytes.length, from + most), this);
    const at = from + this.#llhttp.consumed;
    // The recorded offsets are valid only for these bytes.
    this.#drainSpans();
    if (this.#pieceTo > this.#pieceFrom) this.piece = bytes.subarray(this.#pieceFrom, this.#pieceTo);
    this.#bytes = NO_BYTES;
    if (end === 'malformed') this.#fail('malformed');
    if (this.framing === 'chunked' && this.state === 'body') this.#countFraming(at, at);
    // To llhttp every message without chunks ends with its head, but here one with another body goes on.
    const isWhole = end === 'complete' && (this.framing === 'chunked' || this.framing === 'none');
    if (isWhole && this.state === 'body') {
      this.state = 'ended';
      this.remaining = 0;
    }
    return at;
  }

  /** Reads a body with a length, or up to the close. */
  #count(bytes: Buffer, from: number): number {
    const to = Math.min(bytes.length, from + this.remaining);
    if (to > from) {
      this.piece = bytes.subarray(from, to);
      this.pieces++;
    }
    this.remaining -= to - from;
    if (this.remaining === 0) this.state = 'ended';
    return to;
  }

  /** Fails the message. Of several failures the first counts. */
  #fail(failure: 'malformed' | 'too_large'): void {
    this.state = 'failed';
    this.failure ??= failure;
  }

  // --- callbacks from llhttp

  /** The head is complete. `none`: llhttp must not parse a body. `stop`: the head can't be relied on. */
  headComplete(status: number, connection: 'persists' | 'ends'): 'body' | 'none' | 'stop' {
    this.#drainSpans();
    const isRequest = this.#type === 'request';
    if (isRequest) this.method = this.#llhttp.method;
    else this.status = status;
    const coding = this.#examine(this.lines);
    this.framing = this.#framingOf(coding);
    if (coding === 'named' && this.framing === 'close') this.coded = true;
    const line = this.#startLine;
    // llhttp 9.3 takes CR CR for the end of a status line (nodejs/llhttp#865).
    const isCut = !isRequest && line.indexOf('\r') !== line.length - 2;
    if (isCut || this.failure !== null) return 'stop';
    // llhttp reads `RTSP/1.0` and `ICE/1.0` as HTTP, and a line without a protocol as HTTP/0.9.
    const isHttp = isRequest ? line.startsWith(' HTTP/', line.length - ENDING.length) : line.startsWith('HTTP/');
    this.version = isHttp ? this.#llhttp.version : 'unknown';
    this.keepAlive = connection === 'persists' && !this.#closes;
    this.state = 'body';
    return this.framing === 'chunked' ? 'body' : 'none';
  }

  /** Called before the first bytes of a body. The head ended at `at`. */
  bodyBegins(at: number): void {
    this.#framingFrom = at;
  }

  body(from: number, to: number): 'go on' | 'stop' {
    if (!this.#countFraming(from, to)) return 'stop';
    this.pieces++;
    if (this.#pieceTo === this.#pieceFrom) this.#pieceFrom = this.#pieceTo = from;
    // Joins chunks in place: a million one-byte chunks become one piece for each read.
    if (this.#pieceTo !== from) this.#bytes.copyWithin(this.#pieceTo, from, to);
    this.#pieceTo += to - from;
    return 'go on';
  }

  messageComplete(): void {
    this.#drainSpans();
    this.#examine(this.trailers);
    // Trailers may say `close`, but cannot undo it. llhttp reads no chunks after CONNECT, so no request may follow.
    const mayKeep = this.framing === 'chunked' ? this.keepAlive && this.method !== 'CONNECT' : this.framing !== 'close';
    this.keepAlive = mayKeep && this.#llhttp.keepAlive && !this.#closes;
  }

  /** Counts framing bytes since the last byte of the body; false if they are too many. */
  #countFraming(from: number, to: number): boolean {
    this.#chunkFraming += Math.max(0, from - this.#framingFrom);
    if (this.#chunkFraming > MAX_CHUNK_FRAMING) {
      this.#fail('malformed');
      return false;
    }
    if (to > from) this.#chunkFraming = 0;
    this.#framingFrom = to;
    return true;
  }

  /** Trims the values, and notes what they say about connection and body. `named`: they name a transfer coding. */
  #examine(lines: string[]): 'named' | 'none' {
    let coding: 'named' | 'none' = 'none';
    for (let index = 0; index < lines.length; index += 2) {
      let value = lines[index + 1] ?? '';
      if (value.charCodeAt(value.length - 1) <= SP) lines[index + 1] = value = withoutTrailingSpace(value);
      switch (lowerCaseName(lines[index] ?? '')) {
        case 'transfer-encoding':
          this.#noteCoding(value, coding);
          coding = 'named';
          break;
        case 'content-length':
          if (this.state === 'head') this.length = value;
          break;
        case 'connection':
        case 'proxy-connection':
          if (listsClose(value)) this.#closes = true;
      }
    }
    return coding;
  }

  #noteCoding(value: string, before: 'named' | 'none'): void {
    if (this.state === 'head' && (before === 'named' || value.toLowerCase() !== 'chunked')) this.coded = true;
    // llhttp 9.3 ignores an empty coding beside a length or chunks (nodejs/llhttp#874).
    if (value === '') this.#fail('malformed');
  }

  #framingOf(coding: 'named' | 'none'): Framing {
    const { status } = this;
    // A response to HEAD and these statuses have no body, whatever their head says (RFC 9112 6.3).
    if (this.requestMethod === 'HEAD' || (status >= 100 && status < 200) || status === 204 || status === 304)
      return 'none';
    if (this.#llhttp.endsWithConnection) return 'close';
    if (coding === 'named') return 'chunked';
    const length = Number(this.length);
    // For a length above 2^53 - 1 `remaining` stays Infinity: nobody can send so much, so a close always cuts the body.
    if (Number.isSafeInteger(length)) this.remaining = length;
    return length === 0 ? 'none' : 'length';
  }

  /** Turns the recorded offsets into slices of one string per run: one call to decode bytes instead of forty. */
  #drainSpans(): void {
    const { list, length } = spans;
    if (length === 0) return;
    spans.length = 0;
    const inHead = this.state === 'head';
    const base = list[1] ?? 0;
    const text = this.#bytes.toString('latin1', base, list[length - 1] ?? base);
    if (!inHead && this.trailers === NO_LINES) this.trailers = [];
    const lines = inHead ? this.lines : this.trailers;
    const most = 2 * (inHead ? this.#mostLines : MAX_LINES);
    for (let index = 0; index < length && lines.length <= most; index += 3) {
      const kind = list[index];
      const from = (list[index + 1] as number) - base;
      const to = (list[index + 2] as number) - base;
      if (kind === NAME && lines.length % 2 === 0) lines.push(nameIn(text, from, to));
      else if (kind === VALUE && lines.length % 2 === 1) lines.push(text.slice(from, to));
      else this.#extend(kind, text.slice(from, to), lines);
    }
    if (lines.length > most) this.#fail(inHead ? 'too_large' : 'malformed');
  }

  /** Adds to the start line, or to the name or value whose first part an earlier run has found. */
  #extend(kind: number | undefined, part: string, lines: string[]): void {
    if (kind === TARGET) this.target += part;
    else if (kind === REASON) this.reason += part;
    else lines[lines.length - 1] += part;
  }
}
