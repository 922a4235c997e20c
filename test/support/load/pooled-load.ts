// A client's pool of kept connections, each used now and then, like a load balancer's. It reuses a connection unless it
// was told to close it or saw it end, sends nothing twice, and records what happened to each request.
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { parseResponse, values } from '../http/response-parser.ts';

export interface PooledLoad {
  /** Open connections that wait for their next request. */
  idle(): number;
  /** From now on it uses its open connections and opens no new ones. */
  stopOpening(): void;
  /** From now on new connections go to this port. */
  moveTo(port: number): void;
  /** Resolves when every place has an open connection again; those without one get a request. */
  fill(): Promise<void>;
  /** Stops sending; resolves when every request has ended. May be called twice. */
  stop(): Promise<PoolReport>;
}

export interface PoolReport {
  /** Counts by result: a status, or why no complete response came although the request was sent. */
  readonly ends: Readonly<Record<string, number>>;
  /** Requests that were not sent, because the listener no longer accepted connections. */
  readonly refused: number;
  /** Connections that the other side closed while they were idle. */
  readonly endedIdle: number;
}

export interface PoolOptions {
  readonly port: number;
  readonly connections: number;
  /** Requests a second over all connections. */
  readonly rate: number;
  /** The bytes of a request. */
  readonly request: string;
  /** Which connection the next request goes on: any, or the one that was used last or longest ago. */
  readonly pick?: 'random' | 'newest' | 'oldest';
  /** `steady`: one request each 1000 / rate ms. `random`: as they come. `own`: each connection has its own steady beat. */
  readonly gaps?: 'steady' | 'random' | 'own';
  /**
   * When it looks whether a connection has ended: each time before it sends, or not even then. By default it is told as
   * soon as its event loop comes to it, which may be too late.
   */
  readonly looks?: 'first' | 'never';
  readonly tls?: true;
}

/** Resolves when every connection has had its first response. */
export async function startPooledLoad(options: PoolOptions): Promise<PooledLoad> {
  const { connections, rate, pick = 'random', gaps = 'steady' } = options;
  const ends: Record<string, number> = {};
  const target = { port: options.port };
  const places = Array.from({ length: connections }, () => new Place(target, options));
  const pending = new Set<Promise<void>>();
  let mayOpen = true;
  const use = async (place: Place): Promise<void> => {
    if (place.isBusy || (!mayOpen && !place.isIdle)) return;
    const end = await place.ask();
    if (end !== null) ends[end] = (ends[end] ?? 0) + 1;
  };
  const track = (work: Promise<void>) => {
    pending.add(work);
    void work.then(() => pending.delete(work));
  };
  const fill = async () => {
    for (const place of places) if (!place.isIdle) await use(place);
  };
  await fill();
  const mean = 1000 / rate;
  const stops =
    gaps === 'own'
      ? places.map((place) =>
          startBeat(
            () => connections * mean,
            () => track(use(place)),
          ),
        )
      : [
          startBeat(
            () => (gaps === 'random' ? -Math.log(1 - Math.random()) * mean : mean),
            () => track(use(choose(places, pick))),
          ),
        ];
  const count = (look: (place: Place) => number) => places.reduce((sum, place) => sum + look(place), 0);
  return {
    idle: () => count((place) => Number(place.isIdle)),
    stopOpening: () => {
      mayOpen = false;
    },
    moveTo: (port) => {
      target.port = port;
    },
    fill,
    stop: async () => {
      for (const stop of stops) stop();
      await Promise.all(pending);
      for (const place of places) place.leave();
      return { ends, refused: count(({ refused }) => refused), endedIdle: count(({ endedIdle }) => endedIdle) };
    },
  };
}

/** Calls `act` after each `gap()` milliseconds, without drifting. Returns what stops it. */
function startBeat(gap: () => number, act: () => void): () => void {
  let due = performance.now() + gap() * Math.random();
  let timer: NodeJS.Timeout;
  const next = () => {
    timer = setTimeout(
      () => {
        due += gap();
        next();
        act();
      },
      Math.max(due - performance.now(), 1),
    );
  };
  next();
  return () => clearTimeout(timer);
}

/** A place with an open connection, if there is one and `pick` asks for an order. */
function choose(places: readonly Place[], pick: 'random' | 'newest' | 'oldest'): Place {
  const idle = places.filter(({ isIdle }) => isIdle).sort((a, b) => a.usedAt - b.usedAt);
  const any = places[Math.floor(Math.random() * places.length)] as Place;
  return (pick === 'random' ? any : pick === 'oldest' ? idle[0] : idle.at(-1)) ?? any;
}

/** One connection of the pool, and its replacement. */
class Place {
  readonly #target: { readonly port: number };
  readonly #options: PoolOptions;
  #socket: Socket | null = null;
  #unread: Buffer = Buffer.alloc(0);
  #answered: ((end: string) => void) | null = null;
  isBusy = false;
  /** Milliseconds on the monotonic clock. */
  usedAt = 0;
  refused = 0;
  endedIdle = 0;

  constructor(target: { readonly port: number }, options: PoolOptions) {
    this.#target = target;
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#socket !== null && !this.isBusy;
  }

  /** The status, or what came instead; null if nothing was sent. */
  async ask(): Promise<string | null> {
    this.isBusy = true;
    this.usedAt = performance.now();
    try {
      if (this.#options.looks === 'first') await nextTurn();
      this.#socket ??= await this.#open();
      const socket = this.#socket;
      if (socket === null) return null;
      if (socket.readableEnded) {
        this.leave();
        return 'sent on an ended connection';
      }
      return await new Promise<string>((resolve) => {
        this.#answered = resolve;
        socket.write(this.#options.request);
      });
    } finally {
      this.isBusy = false;
    }
  }

  leave(): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#unread = Buffer.alloc(0);
  }

  #open(): Promise<Socket | null> {
    const at = { port: this.#target.port, host: '127.0.0.1', noDelay: true };
    const socket = this.#options.tls ? connectTls({ ...at, rejectUnauthorized: false }) : connect(at);
    return new Promise((resolve) => {
      socket.once(this.#options.tls ? 'secureConnect' : 'connect', () => resolve(socket));
      socket.on('data', (piece: Buffer) => this.#read(piece));
      socket.on('end', () => this.#ended(socket, 'ended without an answer'));
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (socket === this.#socket) this.#ended(socket, error.code ?? error.message);
        else this.refused++;
        resolve(null);
      });
    });
  }

  #read(piece: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, piece]);
    const parsed = parseResponse(this.#unread);
    if (parsed === null) return;
    this.#unread = this.#unread.subarray(parsed.length);
    if (values(parsed.response.lines, 'connection').includes('close')) this.leave();
    this.#finish(String(parsed.response.status));
  }

  #ended(socket: Socket, how: string): void {
    if (socket !== this.#socket) return;
    if (this.#options.looks === 'never' && this.#answered === null) {
      this.endedIdle++;
      return;
    }
    this.leave();
    if (this.#answered === null) this.endedIdle++;
    else this.#finish(how);
  }

  #finish(end: string): void {
    this.#answered?.(end);
    this.#answered = null;
  }
}
