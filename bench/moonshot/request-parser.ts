// A strict parser of requests: bytes in, heads and whole bodies out, one after the other. Pure: no socket, no clock. The gate is
// part of its grammar, for where a body ends is known only of what the gate lets through. What it refuses it never reads on.
import { Buffer } from 'node:buffer';
import { refusedByGate } from '../../src/core/gate.ts';
import { declaredLength, type Head, readHead } from '../../src/core/head.ts';
import { nominated } from '../../src/core/headers.ts';
import { Chunks } from './chunks.ts';
import { CHUNKED_LINE, linesFrom, METHODS, mayStandInHead, REQUEST_HEAD } from './grammar.ts';
import { Incoming } from './incoming.ts';

export interface RequestHead {
  readonly head: Head;
  /** Flat: name, value, … */
  readonly lines: readonly string[];
  /** The head as it came, with the empty line; and where its lines begin. */
  readonly text: string;
  readonly linesAt: number;
  /** The same bytes, in the buffer that they came in. */
  readonly bytes: Buffer;
  /** No request may follow it. */
  readonly last: boolean;
}

export type RefusedParse = 'bad_request' | 'header_too_large' | 'body_too_large';

export type Step =
  | { readonly kind: 'more' }
  | { readonly kind: 'head'; readonly request: RequestHead }
  | { readonly kind: 'body'; readonly body: Buffer }
  /** `why`: for people and counts. Nothing comes after it. */
  | { readonly kind: 'refused'; readonly reason: RefusedParse; readonly why: string };

export interface ParserLimits {
  /** Bytes of a head, with the empty lines before it. */
  readonly maxHeader: number;
  readonly maxHeaders: number;
}

const MORE: Step = { kind: 'more' };
const EMPTY = Buffer.alloc(0);

export class RequestParser {
  readonly #limits: ParserLimits;
  readonly #incoming = new Incoming();
  readonly #chunks = new Chunks();
  #state: 'head' | 'body' | 'skip' | 'over' = 'head';
  /** How far an unfinished head was looked at; empty lines before it. */
  #seen = 0;
  #blank = 0;
  #declared: number | null = 0;
  #last = false;
  #maxBody = 0;
  #left = 0;
  #body: Buffer = EMPTY;
  #length = 0;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  /** What has come and was not taken, in bytes. */
  get waiting(): number {
    return this.#incoming.length;
  }

  /** What it is in the middle of. */
  get phase(): 'idle' | 'head' | 'body' {
    if (this.#state === 'body') return 'body';
    return this.#state === 'head' && this.#incoming.length + this.#blank > 0 ? 'head' : 'idle';
  }

  push(piece: Buffer): void {
    const moved = this.#incoming.at;
    this.#incoming.push(piece);
    if (this.#seen > 0) this.#seen += this.#incoming.at - moved;
  }

  /** After a head: its body is to be read, up to `maxBody` bytes. */
  acceptBody(maxBody: number): void {
    this.#maxBody = maxBody;
  }

  /** After a head with a declared length: its body is to be dropped. */
  skipBody(): void {
    this.#left = this.#declared ?? 0;
    this.#state = 'skip';
  }

  next(): Step {
    switch (this.#state) {
      case 'head':
        return this.#head();
      case 'body':
        return this.#declared === null ? this.#chunked() : this.#whole(this.#declared);
      case 'skip': {
        const skipped = Math.min(this.#left, this.#incoming.length);
        this.#incoming.skip(skipped);
        this.#left -= skipped;
        if (this.#left > 0) return MORE;
        this.#finish();
        return this.next();
      }
      case 'over':
        this.#incoming.skip(this.#incoming.length);
        return MORE;
      default:
        return this.#state satisfies never;
    }
  }

  #head(): Step {
    const incoming = this.#incoming;
    this.#skipEmptyLines();
    const { at } = incoming;
    const found = incoming.find('\r\n\r\n', Math.max(at, this.#seen - 3));
    const length = found < 0 ? incoming.length : found + 4 - at;
    if (length + this.#blank > this.#limits.maxHeader) return this.#refuse('header_too_large', 'a long head');
    if (found < 0) return this.#unfinished();
    const text = incoming.text(at, found + 4);
    const match = REQUEST_HEAD.exec(text);
    if (match === null) return this.#refuse('bad_request', 'the grammar of heads');
    const [, method = '', target = '', minor] = match;
    if (!METHODS.has(method)) return this.#refuse('bad_request', 'a method');
    const linesAt = text.indexOf('\r\n') + 2;
    const lines = linesFrom(text, linesAt);
    if (lines.length > 2 * this.#limits.maxHeaders) return this.#refuse('header_too_large', 'many lines');
    const head = readHead({ method, target, version: minor === '1' ? '1.1' : '1.0' }, lines);
    const rule = refusedByGate(head);
    if (rule !== null) return this.#refuse('bad_request', `the gate's ${rule.name}`);
    this.#declared = declaredLength(head);
    if (this.#declared === null && !CHUNKED_LINE.test(text)) return this.#refuse('bad_request', 'a coding');
    this.#last = head.version === '1.0' || (head.connection !== '' && nominated(head.connection).includes('close'));
    this.#state = 'body';
    return {
      kind: 'head',
      request: { head, lines, text, linesAt, bytes: incoming.take(text.length), last: this.#last },
    };
  }

  /** RFC 9112 2.2 lets empty lines go before a request; they count as bytes of its head. */
  #skipEmptyLines(): void {
    const incoming = this.#incoming;
    const { bytes } = incoming;
    while (incoming.length >= 2 && bytes[incoming.at] === 0x0d && bytes[incoming.at + 1] === 0x0a) {
      incoming.skip(2);
      this.#blank += 2;
    }
  }

  /** What can't become a head is refused before its end, which may never come. */
  #unfinished(): Step {
    const { bytes, at, end } = this.#incoming;
    for (let index = Math.max(at, this.#seen); index < end; index++) {
      const byte = bytes[index] ?? 0;
      const afterCr = index > at && bytes[index - 1] === 0x0d;
      if (afterCr !== (byte === 0x0a) || !mayStandInHead(byte)) return this.#refuse('bad_request', 'a byte in a head');
    }
    this.#seen = end;
    return MORE;
  }

  #whole(declared: number): Step {
    if (declared > this.#maxBody) return this.#refuse('body_too_large', 'the declared length');
    if (this.#incoming.length < declared) return MORE;
    const body = declared === 0 ? EMPTY : this.#incoming.take(declared);
    this.#finish();
    return { kind: 'body', body };
  }

  #chunked(): Step {
    const step = this.#chunks.read(this.#incoming, this.#append);
    if (step === 'more') return MORE;
    if (step === 'broken')
      return this.#length > this.#maxBody
        ? this.#refuse('body_too_large', 'the counted length')
        : this.#refuse('bad_request', 'a chunk');
    const body = this.#body.subarray(0, this.#length);
    this.#finish();
    return { kind: 'body', body };
  }

  readonly #append = (piece: Buffer): boolean => {
    const before = this.#length;
    this.#length += piece.length;
    if (this.#length > this.#maxBody || this.#chunks.count > 1024 + this.#length / 16) return false;
    if (before === 0) this.#body = piece;
    else this.#body = appended(this.#body, before, piece);
    return true;
  };

  #finish(): void {
    this.#state = this.#last ? 'over' : 'head';
    this.#seen = 0;
    this.#blank = 0;
    this.#body = EMPTY;
    this.#length = 0;
    this.#chunks.reset();
  }

  #refuse(reason: RefusedParse, why: string): Step {
    this.#state = 'over';
    return { kind: 'refused', reason, why };
  }
}

/** `body` with `piece` behind its first `length` bytes: in place where it is large enough, else in one twice as large. */
function appended(body: Buffer, length: number, piece: Buffer): Buffer {
  const total = length + piece.length;
  // A first piece fits exactly and is the socket's own: what comes second always moves to a buffer of ours.
  const next = total <= body.length ? body : Buffer.allocUnsafeSlow(2 * total);
  if (next !== body) body.copy(next, 0, 0, length);
  piece.copy(next, length);
  return next;
}
