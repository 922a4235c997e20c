// Writes one message to a socket. All parts of one turn of the event loop go out as one write, since each further write
// costs a third as much as a request.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { free } from '../base/bytes.ts';
import { trailerLines } from '../core/sent-head.ts';

/** Bytes. Parts up to this total are joined by copying; if there is more, each part is written by itself, corked. */
const MAX_JOINED = 16 * 1024;
/**
 * Bytes of a whole body that the socket gets at a time: a socket reports progress only once the kernel has all of that.
 * With 64 KiB a body of 1 MiB costs 18 % more CPU, with 256 KiB nothing that could be measured.
 */
const MAX_AHEAD = 256 * 1024;
export const NO_TRAILERS: readonly string[] = [];

/** Hears that a message is written: an object and not a callback, so that no request needs a closure for it. */
export interface WrittenListener {
  /** Called once the kernel has the whole message, or the socket is closed. */
  written(): void;
}

export class MessageWriter {
  readonly #socket: Socket;
  #parts: (string | Buffer)[] = [];
  #coding: 'plain' | 'chunked' = 'plain';

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `text` has one character per byte and ends with the empty line. `coding` is that of the body that follows. */
  head(text: string, coding: 'plain' | 'chunked'): void {
    this.#coding = coding;
    this.#parts.push(text);
  }

  /** Adds a part of the body. Do not change `piece` until it is sent, nor use it after `flush`, which may free it. */
  data(piece: Buffer): void {
    if (piece.length === 0) return;
    if (this.#coding === 'chunked') this.#parts.push(`${piece.length.toString(16)}\r\n`);
    this.#parts.push(piece);
    if (this.#coding === 'chunked') this.#parts.push('\r\n');
  }

  /** Writes the rest. If the kernel takes it at once, the listener hears of it then: a callback would cost 1.3 µs. */
  end(trailers: readonly string[], listener: WrittenListener): void {
    if (this.#coding === 'chunked') this.#parts.push(`0\r\n${trailers.length === 0 ? '\r\n' : trailerLines(trailers)}`);
    // In TLS a write is never complete when it returns.
    if ('encrypted' in this.#socket) return this.#write(callbackOf(listener));
    this.#write(undefined);
    if (this.#socket.writableLength === 0) listener.written();
    else this.#socket.write('', callbackOf(listener));
  }

  /** Writes the rest, then the whole `body`, each part once the kernel has the one before: so slow readers show progress. */
  endWith(body: Buffer, listener: WrittenListener): void {
    if (body.length > MAX_AHEAD) return this.#endInPieces(body, listener);
    this.data(body);
    this.end(NO_TRAILERS, listener);
  }

  #endInPieces(body: Buffer, listener: WrittenListener): void {
    this.data(body.subarray(0, MAX_AHEAD));
    this.#write((error) => {
      if (error) listener.written();
      else this.endWith(body.subarray(MAX_AHEAD), listener);
    });
  }

  /** Writes this turn's parts; call it at the turn's end. Frees large pieces once sent: as garbage they took 64 MiB. */
  flush(): void {
    const large = this.#parts.filter(isLarge);
    if (this.#parts.length > 0) this.#write(large.length > 0 ? () => large.forEach(free) : undefined);
  }

  #write(sent: ((error?: Error | null) => void) | undefined): void {
    const parts = this.#parts;
    this.#parts = [];
    // By index, here and below: an iterator would leave 40 bytes for each part until V8 has optimised the loop.
    let length = 0;
    for (let index = 0; index < parts.length; index++) length += parts[index]?.length ?? 0;
    if (parts.length > 1 && length <= MAX_JOINED) return void this.#socket.write(joined(parts, length), sent);
    const last = parts.pop() ?? '';
    if (parts.length === 0) return void this.#socket.write(last, 'latin1', sent);
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part, 'latin1');
    this.#socket.write(last, 'latin1', sent);
    this.#socket.uncork();
  }
}

/** A function of its own, since a function that makes closures costs a context even if it makes none. */
const callbackOf = (listener: WrittenListener) => () => listener.written();

const isLarge = (part: string | Buffer): part is Buffer => typeof part !== 'string' && part.length >= MAX_JOINED;

function joined(parts: readonly (string | Buffer)[], length: number): Buffer {
  const whole = Buffer.allocUnsafe(length);
  let at = 0;
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] ?? '';
    if (typeof part === 'string') whole.write(part, at, 'latin1');
    else part.copy(whole, at);
    at += part.length;
  }
  return whole;
}
