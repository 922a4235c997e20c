// A client's pool of kept connections, each used now and then, like a load balancer's. It reuses a connection unless it
// was told to close it or saw it end, sends nothing twice, and records what happened to each request.
import { connect, type Socket } from 'node:net';
import { parseResponse, values } from '../http/response-parser.ts';

export interface PooledLoad {
  /** Open connections that wait for their next request. */
  idle(): number;
  /** From now on it uses its open connections and opens no new ones. */
  stopOpening(): void;
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
}

/** Resolves when every connection has had its first response. */
export async function startPooledLoad({ port, connections, rate, request }: PoolOptions): Promise<PooledLoad> {
  const ends: Record<string, number> = {};
  const places = Array.from({ length: connections }, () => new Place(port, request));
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
  for (const place of places) await use(place);
  const timer = setInterval(() => {
    const place = places[Math.floor(Math.random() * places.length)];
    if (place !== undefined) track(use(place));
  }, 1000 / rate);
  const count = (look: (place: Place) => number) => places.reduce((sum, place) => sum + look(place), 0);
  return {
    idle: () => count((place) => Number(place.isIdle)),
    stopOpening: () => {
      mayOpen = false;
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      for (const place of places) place.leave();
      return { ends, refused: count(({ refused }) => refused), endedIdle: count(({ endedIdle }) => endedIdle) };
    },
  };
}

/** One connection of the pool, and its replacement. */
class Place {
  readonly #port: number;
  readonly #request: string;
  #socket: Socket | null = null;
  #unread: Buffer = Buffer.alloc(0);
  #answered: ((end: string) => void) | null = null;
  isBusy = false;
  refused = 0;
  endedIdle = 0;

  constructor(port: number, request: string) {
    this.#port = port;
    this.#request = request;
  }

  get isIdle(): boolean {
    return this.#socket !== null && !this.isBusy;
  }

  /** The status, or what came instead; null if nothing was sent. */
  async ask(): Promise<string | null> {
    this.isBusy = true;
    try {
      this.#socket ??= await this.#open();
      const socket = this.#socket;
      if (socket === null) return null;
      return await new Promise<string>((resolve) => {
        this.#answered = resolve;
        socket.write(this.#request);
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
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(socket));
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
    this.leave();
    if (this.#answered === null) this.endedIdle++;
    else this.#finish(how);
  }

  #finish(end: string): void {
    this.#answered?.(end);
    this.#answered = null;
  }
}
