// The connection to Redis or Valkey: one that comes back by itself. Whoever asks while it is away, stuck or refuses us is told
// so at once: no request may wait in a queue of the client's. Loaded only where the config asks for it.
import { isIP } from 'node:net';
import { createClient, ErrorReply } from '@redis/client';

export interface ConnectionOptions {
  /** redis:// or rediss://, with a user and a database number at most. */
  readonly url: string;
  /** Asked at each connect, so that a password may change; null without one. */
  readonly password: (() => Promise<string>) | null;
  /** Hears of the connection's troubles (what is wrong, never a password), and with null that it is well. */
  readonly onTrouble: (trouble: string | null) => void;
}

/** In milliseconds, as all below: for an answer, and between two looks at a server that can't be asked. */
const PATIENCE_MS = 1000;
const RECONNECT_AT_MOST_MS = 1000;
const LOOK_EVERY_MS = 5000;
/** A connection on which nothing comes or goes for this long leads nowhere, whatever the kernel says; longer than a look. */
const SILENT_MS = 2 * LOOK_EVERY_MS;

/** As much as a claim needs: a full or read-only server answers PING. */
const LOOK = `redis.call('SET', KEYS[1], '', 'PX', 1) return 1`;

export class Connection {
  /** Resolves when it is known whether it can be asked; after a second at the latest. */
  readonly known: Promise<void>;
  readonly #client;
  readonly #prefix: string;
  readonly #options: ConnectionOptions;
  readonly #recovered: () => void;
  readonly #looks: NodeJS.Timeout;
  #trouble = 'not connected yet';
  /** A connection alone says little: the system accepts for a server that is stuck. */
  #answers = false;
  #closed = false;
  #nextLook: NodeJS.Timeout | undefined;

  /** `recovered`: it can be asked (again). */
  constructor(options: ConnectionOptions, prefix: string, recovered: () => void) {
    this.#options = options;
    this.#prefix = prefix;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.known = promise;
    const waited = setTimeout(resolve, PATIENCE_MS).unref();
    this.#recovered = () => {
      clearTimeout(waited);
      resolve();
      recovered();
    };
    this.#client = createClient(clientOptions(options));
    this.#client.on('ready', () => this.#look());
    this.#client.on('error', (error: Error) => {
      this.#tell(error);
      resolve();
    });
    this.#looks = setInterval(() => {
      if (this.usable) this.#ask(() => this.#eval(LOOK, 'look', [])).catch(() => {});
    }, LOOK_EVERY_MS).unref();
    this.#client.connect().catch(() => {}); // it goes on trying, and says so by 'error'
  }

  get usable(): boolean {
    return this.#answers && this.#client.isReady;
  }

  /** `unheard`: the server may have done it, but its answer came too late or not at all. */
  run(script: string, key: string, args: string[], unheard?: () => void): Promise<unknown> {
    return this.#ask(() => this.#eval(script, key, args), unheard);
  }

  async set(key: string, value: string, milliseconds: number): Promise<void> {
    const expiration = { type: 'PX', value: Math.ceil(milliseconds) } as const;
    await this.#ask(() => this.#client.set(this.#prefix + key, value, { expiration }));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#looks);
    clearTimeout(this.#nextLook);
    this.#client.destroy();
  }

  #eval(script: string, key: string, args: string[]): Promise<unknown> {
    return this.#client.eval(script, { keys: [this.#prefix + key], arguments: args });
  }

  /** A server that accepts and never answers must not hold a delivery: after the first that waited in vain nobody waits. */
  #ask(command: () => Promise<unknown>, unheard = () => {}): Promise<unknown> {
    if (!this.usable) return Promise.reject(new Error(this.#trouble));
    return new Promise((resolve, reject) => {
      let late = false;
      const fail = (error: Error) => {
        this.#fail(error);
        reject(error);
      };
      const timer = setTimeout(() => {
        late = true;
        fail(new Error(`it did not answer within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      command()
        .then(
          (answer) => (late ? unheard() : resolve(answer)),
          (error: Error) => {
            if (!(error instanceof ErrorReply)) unheard();
            if (!late) fail(error);
          },
        )
        .finally(() => clearTimeout(timer));
    });
  }

  #fail(error: Error): void {
    this.#tell(error);
    if (this.#answers) this.#look();
  }

  #tell(error: Error): void {
    if (this.#closed) return;
    this.#trouble = error.message || String((error as NodeJS.ErrnoException).code ?? error);
    this.#options.onTrouble(this.#trouble);
  }

  /** It can't be asked until it has answered this. */
  #look(): void {
    this.#answers = false;
    clearTimeout(this.#nextLook);
    this.#eval(LOOK, 'look', []).then(
      () => {
        this.#answers = true;
        this.#options.onTrouble(null);
        this.#recovered();
      },
      (error: Error) => {
        if (!this.#client.isReady) return; // it looks again when it is
        this.#tell(error);
        this.#nextLook = setTimeout(() => this.#look(), PATIENCE_MS).unref();
      },
    );
  }
}

function clientOptions({ url, password }: ConnectionOptions) {
  const { hostname, port, username, pathname, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const user = username === '' ? {} : { username: decodeURIComponent(username) };
  const socket = {
    host,
    port: Number(port) || 6379,
    connectTimeout: PATIENCE_MS,
    socketTimeout: SILENT_MS,
    reconnectStrategy: (retries: number) => Math.min(50 * 2 ** Math.min(retries, 10), RECONNECT_AT_MOST_MS),
  };
  const name = isIP(host) === 0 ? { servername: host } : {};
  return {
    RESP: 2,
    database: Number(pathname.slice(1)),
    socket: protocol === 'rediss:' ? { ...socket, ...name, tls: true as const } : socket,
    credentialsProvider: {
      type: 'async-credentials-provider',
      credentials: async () => (password === null ? user : { ...user, password: await password() }),
    },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  } as const;
}
