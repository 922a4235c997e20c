// How src/wire's parser reads bytes, message by message, as a connection would feed it. Every byte is one character.
import { MessageParser } from '../../../src/wire/parser.ts';

export type ParsedMessage = ReturnType<typeof seenBy>;
export type Parsed = ReturnType<typeof parse>;

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
) {
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
    this.#messages.push(seenBy(this.#parser, this.#body, this.#before));
    this.#over = true;
  }

  /**
   * `partial`: the current message, once its head is complete, without its trailers, which may be half a line. `state`: what the
   * parser waits for or why it stopped; `over`: the last message said that none follows.
   */
  end() {
    const parser = this.#parser;
    const current = seenBy(parser, this.#body, this.#before);
    const partial: ParsedMessage | null = !this.#over && parser.hasHead ? { ...current, trailers: [] } : null;
    const state = this.#over ? 'over' : (parser.failure ?? (parser.state === 'body' ? 'body' : 'head'));
    parser.free();
    return { messages: this.#messages, partial, state };
  }

  #takeMessage(end: number): void {
    this.#messages.push(seenBy(this.#parser, this.#body, end));
    this.#body = '';
    this.#over = !this.#parser.keepAlive;
    if (!this.#over) this.#parser.next();
    this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    const finals = this.#messages.filter(({ status }) => status < 100 || status >= 200).length;
    this.#parser.requestMethod = this.#answers[Math.min(finals, this.#answers.length - 1)] ?? 'GET';
  }
}

/** `lines`: name, value, name, …; `end`: how many bytes of the input were consumed. */
function seenBy(parser: MessageParser, body: string, end: number) {
  const { method, target, status, reason, version, lines, framing, trailers, keepAlive } = parser;
  return { method, target, status, reason, version, lines, framing, body, trailers: [...trailers], keepAlive, end };
}
