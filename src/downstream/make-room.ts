// Chooses the connection to end when there are too many. Among connections without a request so far, the network with
// the most of them loses one first: so a host that opens thousands keeps nobody else out.
import type { Connection } from './connection.ts';
import { UNREAD_MS } from './unread-answers.ts';

/** The order in which connections are ended to make room, lowest first, by their state or by what their client does. */
const RANKS = { closing: 0, silent: 1, tls: 1, head: 2, unread: 3, rest: 4, slow: 4, idle: 5, young: 6 };
/** Bytes per millisecond: a connection whose body is slower than 1 KiB/s may be ended to make room. */
const SLOW_RATE = 1.024;
/** Milliseconds. Connections younger than this are ended last: otherwise newcomers would only displace each other. */
const YOUNG_MS = 500;
/** The number of candidates that a pass keeps, for several newcomers: a pass over all connections is expensive. */
const MAX_CANDIDATES = 32;
const CANDIDATES_VALID_MS = 20;

/** A connection that may be ended to make room, as long as its `since` is unchanged: a new state has a new `since`. */
interface Candidate {
  readonly connection: Connection;
  readonly since: number;
  readonly rank: number;
  /** A newcomer's position in its network and rank, counted from the youngest; else 0. The highest is ended first. */
  share: number;
}

export class Room {
  /** The candidates; the last one is ended next. */
  #candidates: Candidate[] = [];
  #foundAt = Number.NEGATIVE_INFINITY;

  /** Chooses the next connection to end; null if each of `all()` is a tunnel or has a request that makes progress. */
  choose(all: () => readonly Connection[], now: number): Connection | null {
    const isFresh = this.#candidates.length > 0 && now - this.#foundAt <= CANDIDATES_VALID_MS;
    if (!isFresh) this.#find(all(), now);
    for (let candidate = this.#candidates.pop(); candidate !== undefined; candidate = this.#candidates.pop()) {
      const { connection, since } = candidate;
      if (connection.place >= 0 && connection.since === since && rankOf(connection, now) !== null) return connection;
    }
    return isFresh ? this.choose(all, now) : null;
  }

  #find(all: readonly Connection[], now: number): void {
    const ranked: Candidate[] = [];
    for (const connection of all) {
      const { since, openedAt } = connection;
      const byState = rankOf(connection, now);
      const rank = byState === null || now - openedAt >= YOUNG_MS ? byState : RANKS.young;
      if (rank !== null) ranked.push({ connection, since, rank, share: 0 });
    }
    ranked.sort((a, b) => a.rank - b.rank || a.since - b.since);
    this.#candidates = byNetwork(ranked).slice(0, MAX_CANDIDATES).reverse();
    this.#foundAt = now;
  }
}

/** A connection's rank; the lowest is ended first. Null if it is closed, a tunnel, or its request makes progress. */
function rankOf({ state, progress, awaiting }: Connection, now: number): number | null {
  if (state === 'tunnel' || state === 'closed') return null;
  if (state !== 'request') return RANKS[state];
  if (progress.unreadFor(now) >= UNREAD_MS) return RANKS.unread;
  return awaiting !== null && awaiting.rate(now) < SLOW_RATE ? RANKS.slow : null;
}

/**
 * Reorders, within each rank, the newcomers (connections without a request yet) among themselves: those of the network
 * that has the most of them come first. Connections that have had a request keep their places.
 */
function byNetwork(ranked: readonly Candidate[]): readonly Candidate[] {
  const newcomers = ranked.filter(({ connection }) => connection.isNewcomer);
  for (const same of Map.groupBy(newcomers, ({ rank, connection }) => `${rank} ${connection.network}`).values())
    for (const [older, newcomer] of same.entries()) newcomer.share = same.length - older;
  newcomers.sort((a, b) => a.rank - b.rank || b.share - a.share);
  let next = 0;
  return ranked.map((candidate) => (candidate.share === 0 ? candidate : (newcomers[next++] ?? candidate)));
}
