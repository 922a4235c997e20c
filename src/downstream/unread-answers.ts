// Answers that their clients do not read lie in the kernel, whose memory counts against a container's. So their number
// is bounded, and the longest unread goes first.

import type { Socket } from 'node:net';
import { containerMemory } from '../base/bytes.ts';
import { greatestSendBuffer, lookAtQueues, SocketProgress } from '../wire/socket-progress.ts';
import { SILENCE_MS } from './following-bytes.ts';

/** Milliseconds without progress after which an answer counts as unread, where connections make room. */
export const UNREAD_MS = 1000;
/** Milliseconds that an answer may stay unread while twice as many as allowed are; the more there are, the shorter. */
const PATIENCE_MS = 1000;
/** Shorter than this only while the kernel's memory runs out: a client far away acknowledges once a round trip. */
const ROUND_TRIP_MS = 400;
/** Milliseconds for which an answer may make no progress; a route's `idleTimeout` replaces it, except while closing. */
export const STALL_MS = 30_000;
/** Milliseconds between two looks at the kernel's queues: while its memory may run out, in a crowd, and otherwise. */
const PAUSE_MS = 100;
const CROWDED_PAUSE_MS = 1000;
const CALM_PAUSE_MS = 30_000;
/** The least pause after a look, as a multiple of its time: with many thousand sockets it takes long. */
const PAUSE = 4;

/** The number of answers that may lie unread: those that fit into half of the container's memory. */
export function mostUnreadAnswers(): number {
  return Math.max(1, Math.floor(containerMemory() / 2 / greatestSendBuffer()));
}

/** The present load, as shares of its limits: answers that may be unread, their bytes, and connections. */
type Crowd = { readonly [what in 'number' | 'bytes' | 'connections']: number };

/** Milliseconds until the next look, which costs as much as some hundred requests: the kernel walks all its sockets. */
export function pauseOf({ number, bytes, connections }: Crowd): number {
  if (number > 1 && bytes > 1 / 2) return PAUSE_MS;
  return (number > 1 && bytes > 1 / 8) || connections > 3 / 4 ? CROWDED_PAUSE_MS : CALM_PAUSE_MS;
}

/** A client connection, as its unread answers know it. */
interface Answering {
  readonly key: string;
  readonly state: string;
  readonly since: number;
  readonly stream: Socket;
  readonly progress: AnswerProgress;
  reset(): void;
}

interface Port {
  list(): readonly Answering[];
  /** The share of the connections that may be. */
  readonly crowding: number;
}

export class UnreadAnswers {
  readonly #most: number;
  readonly #mostOfOne = greatestSendBuffer();
  readonly #port: Port;
  /** The end of the last look, and how long none may follow it. Infinity during a look: none other begins. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rest = 0;

  /** `most`: how many answers may be unread. */
  constructor(most: number, port: Port) {
    this.#most = most;
    this.#port = port;
  }

  /** Looks at the kernel's queues if it is time. Call it some times a second while there are connections. */
  watch(now: number): void {
    const unread = this.#port.list().filter((connection) => mayLieUnread(connection, now));
    const [first] = unread;
    if (first === undefined) return;
    // A closing connection stays until a look has shown whether its answer was read.
    const isStaying = unread.some(({ state, since }) => state === 'closing' && now - since >= SILENCE_MS);
    const pause = Math.min(this.#pauseFor(unread), isStaying ? CROWDED_PAUSE_MS : CALM_PAUSE_MS);
    if (now - this.#lookedAt >= Math.max(pause, this.#rest)) void this.#look(unread, first);
  }

  #pauseFor(unread: readonly Answering[]): number {
    const bytes = unread.reduce((sum, { progress }) => sum + Math.min(progress.unseen, this.#mostOfOne), 0);
    const number = unread.length / this.#most;
    return pauseOf({ number, bytes: bytes / this.#mostOfOne / this.#most, connections: this.#port.crowding });
  }

  async #look(unread: readonly Answering[], { stream }: Answering): Promise<void> {
    const started = performance.now();
    this.#lookedAt = Number.POSITIVE_INFINITY;
    // Answers that are written during the look may not show in it.
    const written = unread.map(({ stream }) => stream.bytesWritten);
    const queues = await lookAtQueues(stream);
    const now = performance.now();
    for (const [nth, { key, progress }] of unread.entries()) {
      progress.seen(written[nth] ?? 0, queues.get(key) ?? 0, now);
    }
    const still = unread.filter((connection) => mayLieUnread(connection, now));
    for (const connection of still) {
      if (connection.state === 'closing' && now - connection.progress.readAt >= STALL_MS) connection.reset();
    }
    this.#endLongest(still, now);
    this.#lookedAt = now;
    this.#rest = Math.min(PAUSE * (now - started), CROWDED_PAUSE_MS);
    const next = now + Math.max(PAUSE_MS, this.#rest);
    setTimeout(() => this.watch(next), next - now).unref();
  }

  #endLongest(unread: readonly Answering[], now: number): void {
    const excess = unread.length - this.#most;
    if (excess <= 0) return;
    let bytes = 0;
    for (const { progress } of unread) bytes += progress.inKernel;
    const short = (PATIENCE_MS * this.#most) / unread.length;
    const patience = bytes > this.#most * this.#mostOfOne ? short : Math.max(short, ROUND_TRIP_MS);
    const late = unread.filter(({ progress }) => now - progress.readAt >= patience);
    late.sort((a, b) => a.progress.readAt - b.progress.readAt);
    for (const connection of late.slice(0, excess)) connection.reset();
  }
}

/** True if the kernel may keep much of its answers. Else its client reads, as far as is known. */
function mayLieUnread({ state, progress }: Answering, now: number): boolean {
  if (state === 'tunnel' || state === 'closed') return false;
  if (!progress.maySwell) progress.readAt = now;
  return progress.maySwell;
}

/** Bytes of answers that the kernel may keep without being asked how much of them was read. */
const MAX_UNSEEN = 16 * 1024;

/** How much of the answers of one connection its client has read. */
export class AnswerProgress {
  readonly #connection: { readonly stream: Socket };
  readonly #sending = new SocketProgress();
  /** Bytes of all answers that are known to be read. */
  #read = 0;
  /** When the client was last seen to read, or had little to read. Milliseconds on the monotonic clock. */
  readAt = performance.now();
  /** Bytes that the kernel had at the last look. */
  inKernel = 0;

  constructor(connection: { readonly stream: Socket }) {
    this.#connection = connection;
  }

  /** Bytes of answers that are not known to be read. */
  get unseen(): number {
    return this.#connection.stream.bytesWritten - this.#read;
  }

  /** True if the kernel may keep much that the client does not read. */
  get maySwell(): boolean {
    return this.unseen > MAX_UNSEEN;
  }

  /** A look is over: of the `written` bytes at its beginning the kernel had `inKernel`. */
  seen(written: number, inKernel: number, now: number): void {
    const read = written - inKernel - this.#connection.stream.writableLength;
    this.inKernel = inKernel;
    if (read <= this.#read) return;
    this.#read = read;
    this.readAt = now;
  }

  /** A request has begun. `now` here and below: milliseconds on the monotonic clock. */
  begin(now: number): void {
    this.#sending.movedAt = now;
  }

  /** Milliseconds for which the kernel has accepted nothing although something waits. */
  unreadFor(now: number): number {
    const { stream } = this.#connection;
    if (stream.writableLength === 0) this.#sending.movedAt = now;
    return this.#sending.idleFor(stream, now);
  }
}
