// The output of the log: a stream that may fail or have no reader. It must never end the process, block it or fill its
// memory, since any client can cause lines. A line that finds no room is dropped and counted.
import type { Writable } from 'node:stream';
import { type Paint, painter } from '../base/printable.ts';
import { createLog, textLine } from './log.ts';

/** `auto`: text where the stream is a terminal, else json. */
type LogFormat = 'auto' | 'json' | 'text';

type OutputStream = Writable & { readonly isTTY?: boolean };

/** The maximum number of bytes that wait for a reader. */
const MAX_WAITING = 64 * 1024;
/** Milliseconds that the stream has for a line that must not be dropped. */
const SURELY_MS = 500;

export class LogOutput {
  format: LogFormat;
  readonly #stream: OutputStream;
  readonly #paint: Paint;
  dropped = 0;
  /** How many of the dropped lines the log has reported. */
  #reported = 0;
  /** When a line was last dropped, in epoch milliseconds; null for never. */
  lastDropped: number | null = null;
  /** True if the last write failed, perhaps after half a line, so that the next one must begin with a line break. */
  #failed = false;

  constructor(stream: OutputStream, env: Readonly<Record<string, string | undefined>>, format: LogFormat) {
    this.#stream = stream;
    this.#paint = painter(stream, env);
    this.format = format;
    // The callback of a write handles its failure. Without a listener here, Node would end the process.
    stream.on('error', () => {});
    // In Node, a write to a terminal that nobody reads (after Ctrl-S, say) blocks the whole process, so every client
    // has to wait. No public method prevents that (nodejs/node#6816).
    const { _handle: handle } = stream as { _handle?: { setBlocking?: (blocking: boolean) => void } };
    handle?.setBlocking?.(false);
  }

  /** Takes one line of JSON, its `\n` included. */
  readonly write = (line: string): void => {
    if (this.#stream.writableLength >= MAX_WAITING) this.#drop();
    else this.#send(line, (isTaken) => isTaken || this.#drop());
  };

  /** Writes a line that must not be dropped: `onDone` is told whether the stream has taken it, so false if others wait. */
  writeSurely(line: string, onDone: (isTaken: boolean) => void): void {
    if (this.#stream.writableLength > 0) return onDone(false);
    const timer = setTimeout(onDone, SURELY_MS, false).unref();
    this.#send(line, (isTaken) => {
      clearTimeout(timer);
      onDone(isTaken);
    });
  }

  #drop(): void {
    this.dropped++;
    this.lastDropped = Date.now();
  }

  #send(json: string, onDone: (isTaken: boolean) => void): void {
    const isText = this.format === 'text' || (this.format === 'auto' && this.#stream.isTTY === true);
    const line = isText ? textLine(json, this.#paint) : json;
    const bytes = Buffer.from(this.#failed ? `\n${line}` : line);
    this.#stream.write(bytes, (error) => {
      this.#failed = Boolean(error);
      onDone(!error);
      if (error) return;
      if (this.#stream.writableLength === 0 && this.#reported < this.dropped) this.#report();
    });
  }

  /** Reports the dropped lines. This line is written whatever the level: it is about the log itself. */
  #report(): void {
    const dropped = this.dropped - this.#reported;
    this.#reported = this.dropped;
    const restore = (isTaken: boolean) => {
      if (!isTaken) this.#reported -= dropped;
    };
    createLog('warn', (line) => this.#send(line, restore)).warn('log lines were dropped', { dropped });
  }
}
