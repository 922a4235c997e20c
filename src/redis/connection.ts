// A connection to Redis or Valkey, which reconnects by itself. While the server is down, stuck or refuses us, commands
// fail at once: no request may wait in the client library's queue.
import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, RESP_TYPES } from '@redis/client';
import { deadline, QUICK_FOR_MS } from '../base/deadline.ts';

// Not the one of base/errors.ts: esbuild orders the imports of two shared parts differently in the build's two bundles,
// and each bundle would have 690 KB of its own (test/unit/house/build.test.ts).
const ignore = () => {};

export interface ConnectionOptions {
  /** redis:// or rediss://, with a user and a database number at most: no password. */
  readonly store: string;
  readonly passwordFile: string | null;
  /** Called at each connect, so that the password may change. Rejects with the file's problem. */
  readonly readPassword: (file: string) => Promise<string>;
  /** The text that begins every key. */
  readonly prefix: string;
  /** Milliseconds. The longest wait for an answer. */
  readonly timeLimit: number;
  /** Milliseconds. The longest wait of `firstAnswer`. */
  readonly firstWait: number;
  /**
   * Sent at each connect, every `PROBE_EVERY_MS` to find a stuck server, and after a failure until it is answered. It must
   * use every command of the other calls, and write: a full or read-only server would answer PING.
   */
  readonly test: Command<unknown>;
  /** Called each time that the server becomes available. */
  readonly onUsable?: () => void;
  /** Called with a problem (never a password), or null: after a slow call once all were quick for `QUICK_FOR_MS`. */
  readonly onChange: (problem: string | null) => void;
}

/** A Lua script and how its answer is read. */
export interface Script<Answer> {
  readonly text: string;
  /** Calls `noSense` if the answer has a wrong form, which is a failure of the store. Bulk strings come as buffers. */
  readonly read: (given: unknown) => Answer;
}

export type Command<Answer> = readonly [
  script: Script<Answer>,
  keys: readonly string[],
  ...args: readonly (string | Buffer)[],
];

/** The longest wait for a connection, and the longest pause between two attempts. */
export const TIMEOUT_MS = 1000;
export const PROBE_EVERY_MS = 5000;
/** A connection on which nothing comes for this long is dead, whatever the kernel says: probes are more frequent. */
const SILENT_MS = 2 * PROBE_EVERY_MS;

const NO_SENSE = new Error('it gave an answer that makes no sense');

export const noSense = (): never => {
  throw NO_SENSE;
};

/** Reads an answer that must be one of these. */
export function oneOf<Answer extends string | number>(answers: readonly Answer[]): Script<Answer>['read'] {
  const textOf = (given: unknown) => (given instanceof Buffer ? given.toString('latin1') : given);
  return (given) => answers.find((answer) => answer === textOf(given)) ?? noSense();
}

export class RedisConnection {
  readonly #client;
  readonly #options: ConnectionOptions;
  #failure = 'not connected yet';
  /** True once a probe was answered. A connection alone proves nothing: a stuck server's kernel still accepts it. */
  #answers = false;
  #nextProbe: NodeJS.Timeout | undefined;
  /** When a call last took too long, in milliseconds on the monotonic clock. */
  #slowAt = Number.NEGATIVE_INFINITY;
  #quickAgain: NodeJS.Timeout | undefined;
  readonly #probes: NodeJS.Timeout;
  readonly #heard = Promise.withResolvers<void>();
  /** Resolves once the server has answered or failed, or after `firstWait`. Commands before that would fail needlessly. */
  readonly firstAnswer: Promise<void>;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.firstAnswer = Promise.race([this.#heard.promise, sleep(options.firstWait, undefined, { ref: false })]);
    this.#client = createClient(clientOptions(options));
    this.#client.on('ready', () => this.#probe());
    this.#client.on('error', (error: Error) => this.#report(error));
    this.#client.connect().catch(ignore); // the client keeps trying, and emits 'error'
    this.#probes = setInterval(() => this.run(options.test).catch(ignore), PROBE_EVERY_MS).unref();
  }

  get usable(): boolean {
    return this.#answers && this.#client.isReady;
  }

  /**
   * Runs a command. Once one has timed out, later ones fail at once until a probe is answered: a server that accepts
   * and never answers must not delay deliveries. The server may have run a command that fails here.
   */
  async run<Answer>(command: Command<Answer>): Promise<Answer> {
    const { timeLimit } = this.#options;
    if (!this.usable) throw new Error(this.#failure);
    const answer = this.#eval(command);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = deadline(timeLimit, () => {
      this.#slowAt = performance.now();
      reject(new Error(`it did not answer within ${Math.ceil(timeLimit)} ms`));
    });
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      this.#report(error as Error);
      // Not probed at once: a server that answers only probes properly would get the same commands again and again.
      if (error === NO_SENSE) this.#probeLater();
      else if (this.#answers) this.#probe();
      answer.catch(ignore); // it may fail later, too
      throw error;
    } finally {
      cancel();
    }
  }

  close(): void {
    clearInterval(this.#probes);
    clearTimeout(this.#nextProbe);
    clearTimeout(this.#quickAgain);
    this.#client.destroy();
  }

  async #eval<Answer>([{ text, read }, keys, ...args]: Command<Answer>): Promise<Answer> {
    const prefixed = keys.map((key) => this.#options.prefix + key);
    return read(await this.#client.eval(text, { keys: prefixed, arguments: args }));
  }

  #report(error: Error): void {
    if (!this.#client.isOpen) return; // closed by us
    this.#failure = error.message || String((error as NodeJS.ErrnoException).code ?? error);
    this.#options.onChange(this.#failure);
    this.#heard.resolve();
  }

  /** Sends the test. The server counts as unavailable until it answers. */
  #probe(): void {
    this.#answers = false;
    clearTimeout(this.#nextProbe);
    this.#eval(this.#options.test).then(
      () => {
        this.#answers = true;
        this.#options.onUsable?.();
        this.#works();
        this.#heard.resolve();
      },
      (error: Error) => {
        if (!this.#client.isReady) return; // the next 'ready' probes again
        this.#report(error);
        this.#probeLater();
      },
    );
  }

  #works(): void {
    clearTimeout(this.#quickAgain);
    const wait = this.#slowAt + QUICK_FOR_MS - performance.now();
    if (wait > 0) this.#quickAgain = setTimeout(() => this.usable && this.#works(), wait).unref();
    else this.#options.onChange(null);
  }

  #probeLater(): void {
    this.#answers = false;
    clearTimeout(this.#nextProbe);
    this.#nextProbe = setTimeout(() => this.#probe(), TIMEOUT_MS).unref();
  }
}

function clientOptions({ store, passwordFile, readPassword }: ConnectionOptions) {
  const { hostname, port, username, pathname, protocol } = new URL(store);
  const host = hostname.replace(/^\[|\]$/g, '');
  const user = username === '' ? {} : { username: decodeURIComponent(username) };
  const socket = {
    host,
    port: Number(port) || 6379,
    connectTimeout: TIMEOUT_MS,
    socketTimeout: SILENT_MS,
    reconnectStrategy: (retries: number) => Math.min(50 * 2 ** Math.min(retries, 10), TIMEOUT_MS),
  };
  const name = isIP(host) === 0 ? { servername: host } : {};
  return {
    RESP: 2,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    database: Number(pathname.slice(1)),
    socket: protocol === 'rediss:' ? { ...socket, ...name, tls: true as const } : socket,
    credentialsProvider: {
      type: 'async-credentials-provider',
      credentials: async () => (passwordFile === null ? user : { ...user, password: await readPassword(passwordFile) }),
    },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  } as const;
}
