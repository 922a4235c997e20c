// How src/wire's parser reads bytes, message by message, as a connection would feed it. Every byte is one character.
import { type Framing, MessageParser } from '../../../src/wire/parser.ts';

export interface ParsedMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  /** Flat: name, value, … */
  readonly lines: readonly string[];
  readonly framing: Framing;
  readonly body: string;
  readonly trailers: readonly string[];
  readonly keepAlive: boolean;
  /** How many bytes of the input were consumed when it was complete. */
  readonly end: number;
}

export interface Parsed {
  readonly messages: readonly ParsedMessage[];
  /** The current message, once its head is complete, without its trailers, which may be half a line. */
  readonly partial: ParsedMessage | null;
  /** What the parser waits for or why it stopped. `over`: the last message said that none follows. */
  readonly state: 'head' | 'body' | 'over' | NonNullable<MessageParser['failure']>;
}

export interface ParseOptions {
  readonly head?: number;
  /** For responses: the methods that they answer, in order; the last one applies to all that follow. */
  readonly answers?: readonly string[];
  /** The sender closes after the last piece. */
  readonly closes?: boolean;
}

/** Splits bytes at these offsets, each taken modulo the length. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set(places.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces = [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length));
  return pieces.filter(({ length }) => length > 0);
}

export function eachByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
}

const waits = ({ state }: MessageParser) => state === 'head' || state === 'body';

/** Reads until the bytes or the message end, or until an error; returns where it stopped. */
export function readOn(parser: MessageParser, bytes: Buffer, onPiece: (piece: Buffer) => void = () => {}): number {
  let at = 0;
  while (at < bytes.length && waits(parser)) {
    const from = at;
    at = parser.read(bytes, from);
    if (parser.piece !== null) onPiece(parser.piece);
    if (at <= from && parser.failure === null) throw new Error(`the parser stands still at ${at} of ${bytes.length}`);
  }
  return at;
}

/** Feeds the pieces until they end, a message ends the connection, or the parser refuses. */
export function parse(
  type: 'request' | 'response',
  pieces: readonly Buffer[],
  { head = 1024 * 1024, answers = ['GET'], closes = false }: ParseOptions = {},
): Parsed {
  const feed = new Feed(new MessageParser(type, head), answers);
  for (const piece of pieces) feed.push(piece);
  if (closes) feed.close();
  return feed.end();
}

class Feed {
  readonly #parser: MessageParser;
  readonly #answers: readonly string[];
  readonly #messages: ParsedMessage[] = [];
  #body = '';
  /** Bytes of the pieces before this one. */
  #before = 0;
  #over = false;

  constructor(parser: MessageParser, answers: readonly string[]) {
    this.#parser = parser;
    this.#answers = answers;
    this.#awaitAnswer();
  }

  push(piece: Buffer): void {
    // A copy, since chunk framing is removed in place.
    const bytes = Buffer.from(piece);
    for (let at = 0; at < bytes.length && !this.#over && this.#parser.state !== 'failed'; ) {
      at += readOn(this.#parser, bytes.subarray(at), (part) => {
        this.#body += part.toString('latin1');
      });
      if (this.#parser.state === 'ended') this.#takeMessage(this.#before + at);
    }
    this.#before += bytes.length;
  }

  close(): void {
    const { state } = this.#parser;
    if (this.#over || state === 'ended' || !this.#parser.finish()) return;
    this.#messages.push(this.#seen(this.#before));
    this.#over = true;
  }

  end(): Parsed {
    const parser = this.#parser;
    const partial = !this.#over && parser.hasHead ? { ...this.#seen(this.#before), trailers: [] } : null;
    const state = this.#over ? 'over' : (parser.failure ?? (parser.state === 'body' ? 'body' : 'head'));
    parser.free();
    return { messages: this.#messages, partial, state };
  }

  #takeMessage(end: number): void {
    this.#messages.push(this.#seen(end));
    this.#body = '';
    this.#over = !this.#parser.keepAlive;
    if (!this.#over) this.#parser.next();
    this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    const finals = this.#messages.filter(({ status }) => status < 100 || status >= 200).length;
    this.#parser.requestMethod = this.#answers[Math.min(finals, this.#answers.length - 1)] ?? 'GET';
  }

  #seen(end: number): ParsedMessage {
    const { method, target, status, reason, version, lines, framing, trailers, keepAlive } = this.#parser;
    const body = this.#body;
    return { method, target, status, reason, version, lines, framing, body, trailers: [...trailers], keepAlive, end };
  }
}
