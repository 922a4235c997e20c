// A strict parser of responses, for one upstream connection: bytes in, a head and pieces of its body out. What is not exactly a
// response throws: half of it must never be taken for the whole, nor its rest for the next one.
import { Chunks } from './chunks.ts';
import { linesFrom, RESPONSE_HEAD, withoutHopByHop } from './grammar.ts';
import { Incoming } from './incoming.ts';
import type { Framing, ResponseHead } from './reply.ts';

export class BrokenResponse extends Error {}

export interface ResponseSink {
  /** Status line and end-to-end lines of a 1xx. */
  interim(text: string): void;
  begin(head: ResponseHead): void;
  data(piece: Buffer): void;
  /** `reusable`: the connection may carry another request. */
  end(reusable: boolean): void;
}

const MOST_HEAD = 16 * 1024;

export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #incoming = new Incoming();
  readonly #chunks = new Chunks();
  #state: 'idle' | 'head' | 'length' | 'chunked' | 'close' = 'idle';
  #method = '';
  #left = 0;
  #persists = false;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** A request goes out: one response is due. */
  expect(method: string): void {
    this.#method = method;
    this.#state = 'head';
    this.#chunks.reset();
  }

  push(piece: Buffer): void {
    this.#incoming.push(piece);
    while (this.#step());
  }

  /** The upstream has sent its last byte. */
  finish(): void {
    if (this.#state === 'close') this.#end();
    else if (this.#state !== 'idle') throw new BrokenResponse('it ended within a response');
  }

  /** False: more bytes are needed. */
  #step(): boolean {
    const incoming = this.#incoming;
    switch (this.#state) {
      case 'head':
        return this.#head();
      case 'length': {
        const piece = incoming.take(Math.min(this.#left, incoming.length));
        this.#left -= piece.length;
        this.#sink.data(piece);
        if (this.#left > 0) return false;
        this.#end();
        return true;
      }
      case 'chunked': {
        const step = this.#chunks.read(incoming, this.#give);
        if (step === 'broken') throw new BrokenResponse('not a chunk');
        if (step === 'more') return false;
        this.#end();
        return true;
      }
      case 'close':
        this.#sink.data(incoming.take(incoming.length));
        return false;
      case 'idle':
        // Whoever sends more than was asked for could answer the next request with it.
        if (incoming.length > 0) throw new BrokenResponse('bytes that nobody asked for');
        return false;
      default:
        return this.#state satisfies never;
    }
  }

  #head(): boolean {
    const incoming = this.#incoming;
    const { at } = incoming;
    const found = incoming.find('\r\n\r\n', at);
    const length = found < 0 ? incoming.length : found + 4 - at;
    if (length > MOST_HEAD) throw new BrokenResponse('a long head');
    if (found < 0) return false;
    const text = incoming.text(at, found + 4);
    const match = RESPONSE_HEAD.exec(text);
    if (match === null) throw new BrokenResponse('not a response head');
    incoming.skip(text.length);
    const status = Number(match[2]);
    const linesAt = text.indexOf('\r\n') + 2;
    const lines = linesFrom(text, linesAt);
    const kept = withoutHopByHop(text, linesAt, lines);
    // The status line is ours: the upstream may speak HTTP/1.0.
    const out = `HTTP/1.1${text.slice('HTTP/1.1'.length, linesAt)}${kept ?? text.slice(linesAt, -2)}`;
    if (status < 200) this.#interim(status, out);
    else this.#begin(status, out, framingLines(lines), match[1] === '1');
    return true;
  }

  #interim(status: number, text: string): void {
    // A 100 was not asked for and a 101 neither (Expect and Upgrade never go out).
    if (status < 102) throw new BrokenResponse(`an unsolicited ${status}`);
    this.#sink.interim(text);
  }

  #begin(status: number, text: string, lines: FramingLines, persistent: boolean): void {
    const framing = framingOf(this.#method, status, lines);
    this.#persists = persistent && framing !== 'close' && !/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(lines.connection);
    this.#left = Number(lines.lengths[0] ?? 0);
    this.#state = framing === 'none' ? 'length' : framing;
    if (framing === 'none') this.#left = 0;
    this.#sink.begin({ status, text, framing });
  }

  #end(): void {
    this.#state = 'idle';
    this.#sink.end(this.#persists && this.#incoming.length === 0);
  }

  readonly #give = (piece: Buffer): boolean => {
    this.#sink.data(piece);
    return true;
  };
}

interface FramingLines {
  readonly lengths: string[];
  readonly codings: string[];
  connection: string;
}

function framingLines(lines: readonly string[]): FramingLines {
  const found: FramingLines = { lengths: [], codings: [], connection: '' };
  for (let index = 0; index < lines.length; index += 2) {
    const value = lines[index + 1] ?? '';
    switch ((lines[index] ?? '').toLowerCase()) {
      case 'content-length':
        found.lengths.push(value);
        break;
      case 'transfer-encoding':
        found.codings.push(value);
        break;
      case 'connection':
        found.connection += `,${value}`;
    }
  }
  return found;
}

function framingOf(method: string, status: number, { lengths, codings }: FramingLines): Framing {
  if (lengths.length + codings.length > 1) throw new BrokenResponse('more than one line of framing');
  if (lengths.some((length) => !/^(?:0|[1-9]\d{0,14})$/.test(length))) throw new BrokenResponse('a bad length');
  if (codings.some((coding) => coding.toLowerCase() !== 'chunked')) throw new BrokenResponse('an unknown coding');
  if (method === 'HEAD' || status === 204 || status === 304) return 'none';
  if (codings.length > 0) return 'chunked';
  return lengths.length > 0 ? 'length' : 'close';
}
