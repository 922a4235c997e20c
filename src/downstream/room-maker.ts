// The connections of a port, and which of them make room for a newcomer. One whose request makes progress never does.
import { TickedSet } from '../wire/sockets.ts';
import type { Connection } from './connection.ts';

/** Younger connections go last: otherwise each honest newcomer, still silent, would be ended for the next one. */
const YOUNG_MS = 500;
const YOUNG_RANK = 6;
/** One pass over all connections costs 0.1 ms, so it finds room for several newcomers. */
const FOUND_AT_ONCE = 32;
const FOUND_FOR_MS = 20;

interface Found {
  readonly connection: Connection;
  /** When it entered its state. Once it is in another state, it stays. */
  readonly since: number;
  readonly rank: number;
}

export class RoomMaker {
  readonly all = new TickedSet<Connection>();
  #found: Found[] = [];
  #foundAt = Number.NEGATIVE_INFINITY;

  /** Ends one connection. False: each has a request that makes progress. */
  make(now: number): boolean {
    for (let looks = 0; looks < 2; looks++) {
      if (now - this.#foundAt > FOUND_FOR_MS || this.#found.length === 0) this.#look(now);
      for (let found = this.#found.pop(); found !== undefined; found = this.#found.pop()) {
        const { connection, since } = found;
        if (connection.place < 0 || connection.since !== since || connection.rank(now) === null) continue;
        this.all.delete(connection);
        connection.destroy();
        return true;
      }
    }
    return false;
  }

  /** The first to end is last. */
  #look(now: number): void {
    const ranked: Found[] = [];
    for (const connection of this.all.list()) {
      const rank = connection.rank(now);
      if (rank === null) continue;
      const young = now - connection.openedAt < YOUNG_MS;
      ranked.push({ connection, since: connection.since, rank: young ? YOUNG_RANK : rank });
    }
    ranked.sort((a, b) => b.rank - a.rank || b.since - a.since);
    this.#found = ranked.slice(-FOUND_AT_ONCE);
    this.#foundAt = now;
  }
}
