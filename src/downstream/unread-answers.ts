// Answers that their clients do not read lie in the kernel, whose memory counts against a container's. So their number
// is bounded, and the longest unread goes first.

import { containerMemory } from '../base/container-memory.ts';
import { greatestSendBuffer, lookAtQueues } from '../wire/kernel-queues.ts';
import type { Connection } from './connection.ts';

/** Milliseconds without progress after which an answer counts as unread, where connections make room. */
export const UNREAD_MS = 1000;
/** Milliseconds for which an answer may stay unread while twice as many as allowed are; the more are, the shorter. */
const PATIENCE_MS = 1000;
/** Shorter than this only while the kernel's memory runs out: a client far away acknowledges once a round trip. */
const ROUND_TRIP_MS = 400;
/** Milliseconds for which an answer may make no progress, until its route's `idleTimeout` says; while closing, always. */
export const STALL_MS = 30_000;
/** Milliseconds between two looks at the kernel's queues, with more answers than allowed and otherwise. */
const PAUSE_MS = 100;
const CALM_PAUSE_MS = 1000;
/** The least pause after a look, as a multiple of its time: with many thousand sockets it takes long. */
const PAUSE = 4;

/** How many answers may lie unread: as many as fit into half of the container's memory. The rest is for all else. */
export function mostUnreadAnswers(): number {
  return Math.max(1, Math.floor(containerMemory() / 2 / greatestSendBuffer()));
}

interface Suspect {
  /** Bytes that the kernel had at the last look. */
  inKernel: number;
  /** Bytes that the client has acknowledged, as far as is known, and since when no more. */
  read: number;
  since: number;
}

export class UnreadAnswers {
  readonly #most: number;
  readonly #mostBytes: number;
  /** Connections with so much of answers that the kernel may hold it. Only a look shows what was read. */
  readonly #suspects = new Map<Connection, Suspect>();
  #timer: NodeJS.Timeout | null = null;
  #lookAt = Number.POSITIVE_INFINITY;

  /** `most`: how many answers may be unread; Infinity: nothing is counted. */
  constructor(most: number) {
    this.#most = most;
    this.#mostBytes = most * greatestSendBuffer();
  }

  add(connection: Connection): void {
    if (this.#most === Number.POSITIVE_INFINITY) return;
    if (!this.#suspects.has(connection)) {
      this.#suspects.set(connection, { inKernel: 0, read: -1, since: performance.now() });
    }
    this.#lookIn(this.#suspects.size > this.#most ? PAUSE_MS : CALM_PAUSE_MS);
  }

  /** True if a closing connection must stay until a look, soon, has shown whether its answer was read. */
  mustStay(connection: Connection): boolean {
    this.add(connection);
    if (!this.#suspects.has(connection)) return false;
    this.#lookIn(PAUSE_MS);
    return true;
  }

  /** True if the kernel had much of an answer at the last look. */
  isUnread(connection: Connection): boolean {
    return connection.progress.maySwell && (this.#suspects.get(connection)?.inKernel ?? 0) > 0;
  }

  delete(connection: Connection): void {
    this.#suspects.delete(connection);
  }

  /** Makes the next look earlier, never later. */
  #lookIn(milliseconds: number): void {
    const at = performance.now() + milliseconds;
    if (at >= this.#lookAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#lookAt = at;
    this.#timer = setTimeout(() => this.#look(), milliseconds).unref();
  }

  async #look(): Promise<void> {
    const started = performance.now();
    this.#lookAt = Number.NEGATIVE_INFINITY; // none other begins meanwhile
    // Answers that are written during the look may not show in it.
    const answered = new Map([...this.#suspects.keys()].map((connection) => [connection, connection.progress.bytes]));
    const queues = await lookAtQueues();
    const now = performance.now();
    for (const [connection, suspect] of this.#suspects) {
      const inKernel = queues.get(connection.key) ?? 0;
      const read = connection.progress.flushed - inKernel;
      connection.progress.markRead((answered.get(connection) ?? 0) - inKernel - connection.stream.writableLength);
      suspect.inKernel = inKernel;
      if (!connection.progress.maySwell) this.#suspects.delete(connection);
      else if (read !== suspect.read) Object.assign(suspect, { read, since: now });
      else if (connection.state === 'closing' && now - suspect.since >= STALL_MS) connection.reset();
    }
    this.#endLongest(now);
    this.#lookAt = Number.POSITIVE_INFINITY;
    this.#timer = null;
    if (this.#suspects.size === 0) return;
    const pause = this.#suspects.size > this.#most ? PAUSE_MS : CALM_PAUSE_MS;
    this.#lookIn(Math.max(pause, Math.min(PAUSE * (now - started), CALM_PAUSE_MS)));
  }

  #endLongest(now: number): void {
    const excess = this.#suspects.size - this.#most;
    if (excess <= 0) return;
    let bytes = 0;
    for (const { inKernel } of this.#suspects.values()) bytes += inKernel;
    const short = (PATIENCE_MS * this.#most) / this.#suspects.size;
    const patience = bytes > this.#mostBytes ? short : Math.max(short, ROUND_TRIP_MS);
    const unread = [...this.#suspects].filter(([, { since }]) => now - since >= patience);
    unread.sort(([, a], [, b]) => a.since - b.since);
    for (const [connection] of unread.slice(0, excess)) connection.reset();
  }
}
