// The output of the log: a stream that may fail, and that nobody may read. It must never end the process, block it or
// fill its memory, since any client can cause lines. A line that finds no room is dropped and counted.
import type { Writable } from 'node:stream';
import { createLog } from './log.ts';

/** The most bytes that wait for a reader. */
const MAX_WAITING = 64 * 1024;

export class LogOutput {
  readonly #stream: Writable;
  #dropped = 0;
  /** Dropped lines that the log has not reported yet. */
  #unreported = 0;
  /** The last write failed, perhaps after half a line. */
  #failed = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    // Each write has its own callback. Without a listener here, Node would end the process.
    stream.on('error', () => {});
    // Node's terminals block the process, and so every client, while nobody reads them, as after Ctrl-S. No public
    // method prevents that.
    const { _handle: handle } = stream as { _handle?: { setBlocking?: (blocking: boolean) => void } };
    handle?.setBlocking?.(false);
  }

  /** Lines dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one line, its `\n` included. */
  readonly write = (line: string): void => {
    if (this.#stream.writableLength >= MAX_WAITING) this.#drop();
    else this.#send(line, () => this.#drop());
  };

  #drop(): void {
    this.#dropped++;
    this.#unreported++;
  }

  #send(line: string, onFailure: () => void): void {
    const bytes = Buffer.from(this.#failed ? `\n${line}` : line);
    this.#stream.write(bytes, (error) => {
      this.#failed = Boolean(error);
      if (error) onFailure();
      else if (this.#stream.writableLength === 0 && this.#unreported > 0) this.#report();
    });
  }

  /** Whatever its level, this line is never filtered: the log itself is what it speaks of. */
  #report(): void {
    const dropped = this.#unreported;
    this.#unreported = 0;
    const restore = () => {
      this.#unreported += dropped;
    };
    createLog('warn', (line) => this.#send(line, restore)).warn('log lines were dropped', { dropped });
  }
}
