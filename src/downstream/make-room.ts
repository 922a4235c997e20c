// Chooses the connection that makes room when there are too many. Among those that have had no request yet the client
// address that has most pays, so that one host that opens thousands keeps nobody else out.
import type { Connection } from './connection.ts';

/** The order in which connections make room, by their state or by what their client does. */
export const RANKS = { closing: 0, silent: 1, tls: 1, head: 2, unread: 3, rest: 4, slow: 4, idle: 5, young: 6 };
/** The age up to which connections make room last: otherwise each honest newcomer would be ended for the next. */
const YOUNG_MS = 500;
/** Candidates of one pass, for several newcomers: a pass over all connections is dear. */
const MAX_CANDIDATES = 32;
const CANDIDATES_VALID_MS = 20;

/** A connection that may be ended to make room. If its `since` differs by then, its state has changed and it stays. */
interface Candidate {
  readonly connection: Connection;
  readonly since: number;
  readonly rank: number;
}

export class Room {
  /** The next to end comes last. */
  #candidates: Candidate[] = [];
  #foundAt = Number.NEGATIVE_INFINITY;

  /** Chooses the next connection to end. Null: each of `all()` has a request that makes progress. */
  choose(all: () => readonly Connection[], now: number): Connection | null {
    const isFresh = this.#candidates.length > 0 && now - this.#foundAt <= CANDIDATES_VALID_MS;
    if (!isFresh) this.#find(all(), now);
    for (let found = this.#candidates.pop(); found !== undefined; found = this.#candidates.pop()) {
      const { connection, since } = found;
      if (connection.place >= 0 && connection.since === since && connection.rank(now) !== null) return connection;
    }
    return isFresh ? this.choose(all, now) : null;
  }

  #find(all: readonly Connection[], now: number): void {
    const ranked: Candidate[] = [];
    for (const connection of all) {
      const { since, openedAt } = connection;
      const state = connection.rank(now);
      if (state !== null) ranked.push({ connection, since, rank: now - openedAt < YOUNG_MS ? RANKS.young : state });
    }
    ranked.sort((a, b) => a.rank - b.rank || a.since - b.since);
    this.#candidates = byNetwork(ranked).slice(0, MAX_CANDIDATES).reverse();
    this.#foundAt = now;
  }
}

/**
 * Puts the newcomers of each rank, which have had no request yet, into another order among themselves: those of the
 * network that holds most of them come first. Connections that have had a request keep their places.
 */
function byNetwork(ranked: readonly Candidate[]): readonly Candidate[] {
  const newcomers = ranked.filter(({ connection }) => !connection.hadRequest);
  const shares = sharesOf(newcomers.map(({ connection, rank }) => `${rank} ${connection.network}`));
  const order = [...newcomers.keys()].sort((a, b) => {
    const rank = (newcomers[a]?.rank ?? 0) - (newcomers[b]?.rank ?? 0);
    return rank || (shares[b] ?? 0) - (shares[a] ?? 0) || a - b;
  });
  let next = 0;
  return ranked.map((candidate) => {
    return candidate.connection.hadRequest ? candidate : (newcomers[order[next++] ?? 0] ?? candidate);
  });
}

/** Counts how often each name occurs from there on: ended by the greatest first, none keeps more than its share. */
function sharesOf(names: readonly string[]): number[] {
  const counts = new Map<string, number>();
  const shares = names.toReversed().map((name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count;
  });
  return shares.reverse();
}
