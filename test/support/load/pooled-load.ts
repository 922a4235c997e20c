// A client's pool of kept connections, each used now and then, like a load balancer's. It reuses a connection unless it
// was told to close it or saw it end, sends nothing twice, and records what happened to each request.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ConnectOptions, openClient, type RawClient } from '../http/raw-client.ts';
import { values } from '../http/response-parser.ts';

export interface PooledLoad {
  /** Open connections that wait for their next request. */
  idle(): number;
  /** From now on it uses its open connections and opens no new ones. */
  stopOpening(): void;
  /** Stops sending; resolves when every request has ended. May be called twice. */
  stop(): Promise<PoolReport>;
}

interface PoolReport {
  /** Counts by result: a status, or why no complete response came although the request was sent. */
  readonly ends: Readonly<Record<string, number>>;
  /** Requests that were not sent, because the listener no longer accepted connections. */
  readonly refused: number;
  /** Connections that the other side closed while they were idle. */
  readonly endedIdle: number;
}

export interface PoolOptions {
  readonly to: ConnectOptions;
  readonly connections: number;
  /** Requests a second over all connections. */
  readonly rate: number;
  /** The bytes of a request. */
  readonly request: string;
  /** Which connection the next request goes on: any, or the one that was used longest ago. */
  readonly pick: 'random' | 'oldest';
}

/** Resolves when every connection has had its first response. */
export async function startPooledLoad(options: PoolOptions): Promise<PooledLoad> {
  const { connections, rate, pick } = options;
  const ends: Record<string, number> = {};
  const places = Array.from({ length: connections }, () => new Place(options));
  const pending = new Set<Promise<void>>();
  let mayOpen = true;
  const use = async (place: Place): Promise<void> => {
    if (place.isBusy || (!mayOpen && !place.isIdle)) return;
    const end = await place.ask();
    if (end !== null) ends[end] = (ends[end] ?? 0) + 1;
  };
  for (const place of places) await use(place);
  const stopBeat = startBeat(1000 / rate, () => {
    const work = use(choose(places, pick));
    pending.add(work);
    void work.then(() => pending.delete(work));
  });
  const count = (look: (place: Place) => number) => places.reduce((sum, place) => sum + look(place), 0);
  return {
    idle: () => count((place) => Number(place.isIdle)),
    stopOpening: () => {
      mayOpen = false;
    },
    stop: async () => {
      stopBeat();
      await Promise.all(pending);
      for (const place of places) place.leave();
      return { ends, refused: count(({ refused }) => refused), endedIdle: count(({ endedIdle }) => endedIdle) };
    },
  };
}

/** Calls `act` each `gap` milliseconds, without drifting. Returns what stops it. */
function startBeat(gap: number, act: () => void): () => void {
  let due = performance.now() + gap;
  let timer: NodeJS.Timeout;
  const next = () => {
    timer = setTimeout(
      () => {
        due += gap;
        next();
        act();
      },
      Math.max(due - performance.now(), 1),
    );
  };
  next();
  return () => clearTimeout(timer);
}

/** Any place, or that with the open connection that was used longest ago. */
function choose(places: readonly Place[], pick: PoolOptions['pick']): Place {
  const [oldest] = places.filter(({ isIdle }) => isIdle).sort((a, b) => a.usedAt - b.usedAt);
  const any = places[Math.floor(Math.random() * places.length)] as Place;
  return pick === 'oldest' ? (oldest ?? any) : any;
}

/** One connection of the pool, and its replacement. */
class Place {
  readonly #options: PoolOptions;
  #client: RawClient | null = null;
  isBusy = false;
  /** Milliseconds on the monotonic clock. */
  usedAt = 0;
  refused = 0;
  endedIdle = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#client !== null && !this.isBusy;
  }

  /** The status, or what came instead; null if nothing was sent. */
  async ask(): Promise<string | null> {
    this.isBusy = true;
    this.usedAt = performance.now();
    try {
      // It looks whether the connection has ended before it sends.
      await nextTurn();
      this.#client ??= await this.#open();
      const client = this.#client;
      if (client === null) return null;
      if (client.socket.readableEnded) throw new Error('sent on an ended connection');
      await client.send(this.#options.request);
      const { status, lines } = await client.response();
      if (values(lines, 'connection').includes('close')) this.leave();
      return String(status);
    } catch (error) {
      this.leave();
      return (error as Error).message;
    } finally {
      this.isBusy = false;
    }
  }

  leave(): void {
    this.#client?.destroy();
    this.#client = null;
  }

  async #open(): Promise<RawClient | null> {
    const client = await openClient(this.#options.to).catch(() => null);
    if (client === null) this.refused++;
    client?.socket.once('end', () => {
      if (client !== this.#client || this.isBusy) return;
      this.endedIdle++;
      this.leave();
    });
    return client;
  }
}
