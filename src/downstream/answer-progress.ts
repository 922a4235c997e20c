// How much of its answers a client has read. Node tells what the kernel has accepted; `unread-answers.ts` asks the kernel
// for the rest.
import type { Connection } from './connection.ts';

/** Bytes of answers that the kernel may keep without being asked how much of them was read. */
const MAX_UNSEEN = 16 * 1024;

/** The progress of all answers of one connection. */
export class AnswerProgress {
  readonly #connection: Pick<Connection, 'stream' | 'exchange'>;
  /** Bytes of earlier answers, and of all answers how many are known to be read. */
  #earlier = 0;
  #knownRead = 0;
  /** Bytes that the kernel has accepted, and when that last changed. */
  #flushed = 0;
  #flushedAt = 0;

  constructor(connection: Pick<Connection, 'stream' | 'exchange'>) {
    this.#connection = connection;
  }

  /** Bytes that the kernel has accepted. */
  get flushed(): number {
    const { stream } = this.#connection;
    return stream.bytesWritten - stream.writableLength;
  }

  /** Bytes of all answers so far. */
  get bytes(): number {
    return this.#earlier + (this.#connection.exchange?.reply.bytes ?? 0);
  }

  /** True if the kernel may keep much that the client does not read. */
  get maySwell(): boolean {
    return this.bytes - this.#knownRead > MAX_UNSEEN;
  }

  /** A request has begun. `now` here and below: milliseconds on the monotonic clock. */
  begin(now: number): void {
    this.#flushed = this.flushed;
    this.#flushedAt = now;
  }

  /** Its answer has ended, after so many bytes. */
  end(bytes: number): void {
    this.#earlier += bytes;
  }

  /** Notes that the client has read the first `bytes` of all answers. */
  markRead(bytes: number): void {
    this.#knownRead = Math.max(this.#knownRead, bytes);
  }

  /** Milliseconds for which the kernel has accepted nothing although something waits. */
  unreadFor(now: number): number {
    const { flushed } = this;
    if (this.#connection.stream.writableLength === 0 || flushed !== this.#flushed) {
      this.#flushed = flushed;
      this.#flushedAt = now;
      return 0;
    }
    return now - this.#flushedAt;
  }
}
