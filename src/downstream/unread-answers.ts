// Answers that clients do not read stay in kernel memory, which counts against the container's limit. So their number
// is bounded, and the connection whose client has not read for longest is reset first.
import { containerMemory } from '../base/bytes.ts';
import { greatestSendBuffer, lookAtQueues } from '../wire/socket-progress.ts';
import { STALL_MS } from './client-exchange.ts';
import { type Connection, SILENCE_MS } from './connection.ts';
import type { Listener } from './listener.ts';

/** Milliseconds without progress after which an answer counts as unread when connections must make room. */
export const UNREAD_MS = 1000;
/** Milliseconds that an answer may stay unread once too many do; half of them while twice the allowed number do. */
const PATIENCE_MS = 1000;
/** Milliseconds: the least patience while the kernel's memory suffices. A client acknowledges once per round trip. */
const ROUND_TRIP_MS = 400;
/** Milliseconds between looks at the kernel's queues: while more than half of its memory may be taken, and otherwise. */
const PAUSE_MS = 100;
const CALM_PAUSE_MS = 1000;
/** The share of the memory that may lie unread before a look: a look costs as much as a hundred requests. */
const LITTLE = 1 / 8;
/** The least pause after a look, as a multiple of the look's duration, which is long with many thousand sockets. */
const PAUSE = 4;

/** The number of answers that may lie unread: those that fit into half of the container's memory. */
export const mostUnreadAnswers = (): number => Math.max(1, Math.floor(containerMemory() / 2 / greatestSendBuffer()));

export class UnreadAnswers {
  readonly #most: number;
  readonly #mostOfOne = greatestSendBuffer();
  readonly #open: Pick<Listener, 'list'>;
  /** When the last look ended (Infinity during a look, so two never overlap), and how long to rest after it. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rest = 0;

  /** `most`: how many answers may be unread. */
  constructor(most: number, open: Pick<Listener, 'list'>) {
    this.#most = most;
    this.#open = open;
  }

  /** Looks at the kernel's queues if it is time. Call it several times a second while there are connections. */
  watch(now: number): void {
    const unread = this.#open.list().filter((connection) => mayLieUnread(connection, now));
    const [first] = unread;
    if (first === undefined) return;
    // A closing connection stays open until a look has shown whether its answer was read.
    const isStaying = unread.some(({ state, since }) => state === 'closing' && now - since >= SILENCE_MS);
    const bytes = unread.reduce((sum, { progress }) => sum + Math.min(progress.unread, this.#mostOfOne), 0);
    const share = unread.length > this.#most ? bytes / this.#mostOfOne / this.#most : 0;
    if (share < LITTLE && !isStaying) return;
    const pause = Math.max(share > 1 / 2 ? PAUSE_MS : CALM_PAUSE_MS, this.#rest);
    if (now - this.#lookedAt >= pause) void this.#look(unread, first);
  }

  async #look(unread: readonly Connection[], { stream }: Connection): Promise<void> {
    const started = performance.now();
    this.#lookedAt = Number.POSITIVE_INFINITY;
    // Counted before the look: answers that are written during the look may not show in it.
    const written = unread.map(({ stream }) => stream.bytesWritten);
    const queues = await lookAtQueues(stream);
    const now = performance.now();
    for (const [nth, { key, progress }] of unread.entries())
      progress.recordLook(written[nth] ?? 0, queues.get(key) ?? 0, now);
    const still = unread.filter((connection) => mayLieUnread(connection, now));
    const isStalled = ({ state, progress }: Connection) => state === 'closing' && now - progress.readAt >= STALL_MS;
    for (const connection of still.filter(isStalled)) connection.reset();
    this.#endLongest(still, now);
    this.#lookedAt = now;
    this.#rest = Math.min(PAUSE * (now - started), CALM_PAUSE_MS);
    const next = now + Math.max(PAUSE_MS, this.#rest);
    setTimeout(() => this.watch(next), next - now).unref();
  }

  #endLongest(unread: readonly Connection[], now: number): void {
    const excess = unread.length - this.#most;
    if (excess <= 0) return;
    const bytes = unread.reduce((sum, { progress }) => sum + progress.inKernel, 0);
    const short = (PATIENCE_MS * this.#most) / unread.length;
    const patience = bytes > this.#most * this.#mostOfOne ? short : Math.max(short, ROUND_TRIP_MS);
    const late = unread.filter(({ progress }) => now - progress.readAt >= patience);
    late.sort((a, b) => a.progress.readAt - b.progress.readAt);
    for (const connection of late.slice(0, excess)) connection.reset();
  }
}

/** True if the kernel may hold much of the connection's answers. If not, its client is recorded as reading now. */
function mayLieUnread({ state, progress }: Connection, now: number): boolean {
  if (state === 'tunnel' || state === 'closed') return false;
  if (!progress.mayBeUnread) progress.readAt = now;
  return progress.mayBeUnread;
}
