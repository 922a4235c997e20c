// Whether bytes move on a socket to the upstream, in either direction.
import type { Socket } from 'node:net';
import { queueKey, recentQueues } from '../wire/kernel-queues.ts';

export class SocketProgress {
  /** When bytes last moved, in milliseconds on the monotonic clock. */
  movedAt: number;
  /** Bytes that the kernel has accepted. */
  #flushed = 0;
  /** What the kernel's queue showed in the last look; null before the first one. */
  #seen: number | null = null;

  constructor(startedAt: number) {
    this.movedAt = startedAt;
  }

  begin({ bytesWritten }: Socket): void {
    this.movedAt = performance.now();
    this.#flushed = bytesWritten;
  }

  /** Milliseconds without a byte. */
  idleFor({ bytesWritten, writableLength }: Socket, now: number): number {
    const flushed = bytesWritten - writableLength;
    if (flushed !== this.#flushed) {
      this.#flushed = flushed;
      this.movedAt = now;
    }
    return now - this.movedAt;
  }

  /**
   * Looks whether the kernel moves bytes of which node does not tell yet: it wakes a writer once a third of its buffer,
   * up to 4 MiB, is free. Without this a slow and steady upstream would be cut.
   */
  async look(socket: Socket): Promise<void> {
    const queued = (await recentQueues()).get(queueKey(socket)) ?? 0;
    const seen = this.#flushed - queued;
    if (this.#seen !== null && this.#seen !== seen) this.movedAt = performance.now();
    this.#seen = seen;
  }
}
