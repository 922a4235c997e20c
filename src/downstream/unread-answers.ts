// Answers that their clients do not read lie in the kernel, whose memory counts against a container's. So their number
// is bounded, and the longest unread goes first.

import { lookAtQueues } from '../wire/kernel-queues.ts';
import type { Connection } from './connection.ts';

/** Milliseconds for which an answer may stay unread while twice as many as allowed are; the more are, the shorter. */
const PATIENCE_MS = 1000;
/** Milliseconds without progress after which a connection that is closing is given up. */
const STALL_MS = 30_000;
/** Milliseconds between two looks at the kernel's queues: more if a look takes long, as with many thousand sockets. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 500;
const PAUSE = 4;

interface Suspect {
  /** Bytes that the client has acknowledged, as far as is known, and since when no more. */
  read: number;
  since: number;
}

export class UnreadAnswers {
  readonly #most: number;
  /** Connections with so much of answers that the kernel may hold it. Only a look shows what was read. */
  readonly #suspects = new Map<Connection, Suspect>();
  #timer: NodeJS.Timeout | null = null;

  /** `most`: how many answers may be unread. */
  constructor(most: number) {
    this.#most = most;
  }

  add(connection: Connection): void {
    if (!this.#suspects.has(connection)) this.#suspects.set(connection, { read: -1, since: performance.now() });
    if (this.#suspects.size > this.#most) this.#lookIn(PAUSE_MS);
  }

  /** Finds out whether a closing connection's answer was read; while it is not, the connection must stay. */
  settle(connection: Connection): void {
    this.add(connection);
    this.#lookIn(PAUSE_MS);
  }

  delete(connection: Connection): void {
    this.#suspects.delete(connection);
  }

  #lookIn(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.#look(), milliseconds).unref();
  }

  async #look(): Promise<void> {
    const started = performance.now();
    // What is answered during the look may not show in it.
    const answered = new Map([...this.#suspects.keys()].map((connection) => [connection, connection.answered]));
    const queues = await lookAtQueues();
    const now = performance.now();
    for (const [connection, suspect] of this.#suspects) {
      const queued = queues.get(connection.key) ?? 0;
      const read = connection.flushed - queued;
      if (queued === 0) connection.markRead(answered.get(connection) ?? 0);
      if (!connection.maySwell) this.#suspects.delete(connection);
      else if (read !== suspect.read) Object.assign(suspect, { read, since: now });
      else if (connection.state === 'closing' && now - suspect.since >= STALL_MS) connection.reset();
    }
    this.#endLongest(now);
    this.#timer = null;
    if (this.#suspects.size > this.#most)
      this.#lookIn(Math.min(Math.max(PAUSE_MS, PAUSE * (now - started)), MAX_PAUSE_MS));
  }

  #endLongest(now: number): void {
    const excess = this.#suspects.size - this.#most;
    if (excess <= 0) return;
    const patience = (PATIENCE_MS * this.#most) / this.#suspects.size;
    const unread = [...this.#suspects].filter(([, { since }]) => now - since >= patience);
    unread.sort(([, a], [, b]) => a.since - b.since);
    for (const [connection] of unread.slice(0, excess)) connection.reset();
  }
}
