// The answer to one request, and the only writer of its status, framing, persistence, 1xx and trailers. An incomplete
// answer is cut, never ended as if it were complete.
import type { Buffer } from 'node:buffer';
import type { OwnAnswer } from '../core/answers.ts';
import { type Head, hasBody } from '../core/request-head.ts';
import { CHUNKED, headLines } from '../core/sent-head.ts';
import type { ResponseHead } from '../wire/parser.ts';
import { NO_TRAILERS, type WrittenListener } from '../wire/writer.ts';
import type { Connection } from './connection.ts';

/** The part of a client's connection that its request and the reply know. */
export type ClientConnection = Readonly<
  Pick<Connection, 'stream' | 'writer' | 'encrypted' | 'address' | 'key' | 'since'>
> &
  Pick<Connection, 'mustClose' | 'remainingBody' | 'replied' | 'handOver' | 'reset' | 'destroy'>;

export class Reply implements WrittenListener {
  /** 0 until the answer has begun. */
  status = 0;
  readonly #connection: ClientConnection;
  readonly #request: Head;
  /** `ended`: complete, though perhaps not sent. `gone`: nothing more can reach the client. Written only here. */
  phase: 'waiting' | 'begun' | 'ended' | 'gone' = 'waiting';
  #last = false;
  #awaitsContinue: boolean;

  constructor(connection: ClientConnection, request: Head) {
    this.#connection = connection;
    this.#request = request;
    this.#awaitsContinue = request.expect !== null && request.version === '1.1' && hasBody(request);
  }

  /** Bytes that the kernel has not accepted yet. */
  get unsent(): number {
    return this.#connection.stream.writableLength;
  }

  /** True once the whole answer is written, without `close`: the client may have it before the kernel tells us so. */
  get allowsNext(): boolean {
    return this.phase === 'ended' && !this.#last;
  }

  /** Sends 100 to a client that waits for it. Call it only if the body will be read. */
  continue(): void {
    if (!this.#awaitsContinue || this.phase !== 'waiting') return;
    this.#awaitsContinue = false;
    this.#connection.stream.write(CONTINUE, 'latin1');
  }

  /** Sends an interim response (1xx). HTTP/1.0 has none (RFC 9110 15.2). */
  inform(status: number, reason: string, lines: readonly string[]): void {
    if (this.phase !== 'waiting' || this.#request.version !== '1.1') return;
    this.#connection.writer.head(`${statusLine(status, reason)}${headLines(lines, null)}\r\n\r\n`, 'plain');
    this.#connection.writer.flush();
  }

  /** Begins the upstream's response. */
  begin(response: ResponseHead, wish: 'close' | 'persist' = 'persist'): void {
    if (this.phase !== 'waiting') return;
    const { status, reason, lines, framing, length } = response;
    const modern = this.#request.version === '1.1';
    const streams = framing === 'chunked' || framing === 'close';
    const chunked = streams && modern;
    // Nothing can follow a body that only the close ends, nor a request that was not read whole.
    const closes = (streams && !modern) || this.#connection.remainingBody() !== 'nothing';
    this.#last = closes || wish === 'close' || this.#connection.mustClose();
    // The length stays text, without leading zeros: large numbers would change. A 204 has no length (RFC 9110 8.6).
    const counts = !streams && length !== '' && status !== 204;
    const whole = counts ? `Content-Length: ${length.replace(/^0+(?=\d)/, '')}` : null;
    const sent = `${statusLine(status, reason)}${headLines(lines, chunked ? CHUNKED : whole)}`;
    const head = this.#begunHead(status, sent);
    this.#connection.writer.head(head, chunked ? 'chunked' : 'plain');
  }

  /** Adds a part of the body. The caller must not use `piece` after this. */
  data(piece: Buffer): void {
    if (this.phase === 'begun') this.#connection.writer.data(piece);
  }

  /** Writes what was added in this turn of the event loop. False if the client reads too slowly: wait for `onSent`. */
  flush(): boolean {
    if (this.phase !== 'begun') return true;
    this.#connection.writer.flush();
    return !this.#connection.stream.writableNeedDrain;
  }

  /** Completes the upstream's answer. */
  end(trailers: readonly string[] = NO_TRAILERS): void {
    if (this.phase !== 'begun') return;
    this.phase = 'ended';
    this.#connection.writer.end(trailers, this);
  }

  /** Sends one of our own answers, unless an answer has begun. */
  sendOwn(answer: OwnAnswer): void {
    if (this.phase !== 'waiting') return;
    // A client that waits for 100 may next send the body, or another request: nobody can tell which.
    const unclear = this.#awaitsContinue || this.#connection.remainingBody() === 'long';
    this.#last = unclear || answer.closes || this.#connection.mustClose();
    const head = this.#begunHead(answer.status, answer.head);
    // Head and body are one string, so that they are one write.
    this.#connection.writer.head(this.#request.method === 'HEAD' ? head : head + answer.body, 'plain');
    this.phase = 'ended';
    // On the next tick: the caller may still note why it refused, and the parser may still be reading.
    this.#connection.writer.end(NO_TRAILERS, { written: () => process.nextTick(() => this.written()) });
  }

  /** Begins the answer, and returns its head. HTTP/1.1 persists by default, so it needs no `Connection: keep-alive`. */
  #begunHead(status: number, head: string): string {
    this.phase = 'begun';
    this.status = status;
    const keeps = this.#request.version === '1.1' ? '' : '\r\nConnection: keep-alive';
    return `${head}${this.#last ? '\r\nConnection: close' : keeps}\r\n\r\n`;
  }

  /** Called once the kernel has the answer: by the writer, and for one of ours a tick later by `sendOwn`. */
  written(): void {
    this.#connection.replied(this.#last ? 'close' : 'persist');
  }

  /** Ends the reply when its connection becomes a tunnel; http-proxy-3 writes the 101. Only the connection calls it. */
  becomeTunnel(): void {
    this.status = 101;
    this.#last = true;
    this.phase = 'ended';
  }

  /** Ends the connection in a way that tells the client that the answer is incomplete. */
  cut(): void {
    if (this.phase === 'gone') return;
    // In HTTP/1.0 a close may mark the body's end, so only a reset shows the cut; in TLS the lack of close_notify does.
    if (this.#request.version === '1.0' && !this.#connection.encrypted) this.#connection.reset();
    else this.#connection.destroy();
  }

  /** Called by the exchange alone, when nothing more can be sent. */
  abandon(): void {
    this.phase = 'gone';
  }

  /** Calls `listener` once the kernel has all that was written, or the client is gone. */
  onSent(listener: () => void): void {
    this.#connection.stream.write('', listener);
  }
}

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** Keeps the reason phrase byte for byte, but omits one with control characters, which could end the line. */
function statusLine(status: number, reason: string): string {
  return `HTTP/1.1 ${status} ${/^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : ''}`;
}
