// A connection to Redis or Valkey, which reconnects by itself. While the server is down, stuck or refuses us, commands
// fail at once: no request may wait in the client library's queue.
import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import { createClient, ErrorReply, RESP_TYPES } from '@redis/client';
import { deadline } from '../base/deadline.ts';
import type { OnStoreChange } from './store.ts';

export interface ConnectionOptions {
  /** redis:// or rediss:// with a user and a database number at most. */
  readonly store: string;
  readonly passwordFile: string | null;
  /** Called at each connect, so that the password may change. Rejects with the file's problem. */
  readonly readPassword: (file: string) => Promise<string>;
  /** Begins every key. */
  readonly prefix: string;
  /** Milliseconds. The longest wait for an answer. */
  readonly timeLimit: number;
  /** A write, as what follows it is: a full or read-only server would still answer PING. */
  readonly probe: Command<unknown>;
}

/** A Lua script and how its answer is read. */
export interface Script<Answer> {
  readonly text: string;
  /** Undefined if the answer makes no sense, which is a failure of the store. Bulk strings are buffers. */
  readonly read: (given: unknown) => Answer | undefined;
}

export type Command<Answer> = readonly [
  script: Script<Answer>,
  keys: readonly string[],
  ...args: readonly (string | Buffer)[],
];

export interface RunOptions {
  /** The server may have run it, but its answer came too late or never. */
  readonly onLost?: () => void;
  /** Milliseconds; the connection's limit unless given. */
  readonly timeLimit?: number;
}

/** The longest wait for a connection, and the longest pause between two attempts. */
export const TIMEOUT_MS = 1000;
export const PROBE_EVERY_MS = 5000;
/** A connection without a byte for this long is dead, whatever the kernel says: probes are more frequent. */
const SILENT_MS = 2 * PROBE_EVERY_MS;

const NO_SENSE = new Error('it gave an answer that makes no sense');

/** A script's text, and everything that it can answer. */
export function script<Answer extends string | number>(text: string, answers: readonly Answer[]): Script<Answer> {
  return { text, read: (given) => answers.find((known) => known === textOf(given)) };
}

/** A bulk string as text, and anything else as it is. */
export const textOf = (given: unknown) => (given instanceof Buffer ? given.toString('latin1') : given);

export class RedisConnection {
  readonly #client;
  readonly #options: ConnectionOptions;
  readonly #onChange: OnStoreChange;
  #failure = 'not connected yet';
  /** True once a probe was answered: the kernel of a stuck server still accepts connections. */
  #answers = false;
  #nextProbe: NodeJS.Timeout | undefined;

  /** `onChange` gets null each time the server becomes available. */
  constructor(options: ConnectionOptions, onChange: OnStoreChange) {
    this.#options = options;
    this.#onChange = onChange;
    this.#client = createClient(clientOptions(options));
    this.#client.on('ready', () => this.#probe());
    this.#client.on('error', (error: Error) => this.#report(error));
    this.#client.connect().catch(() => {}); // the client keeps trying, and emits 'error'
  }

  get usable(): boolean {
    return this.#answers && this.#client.isReady;
  }

  /**
   * Runs a command. Once one has timed out, no other one waits: a server that accepts and never answers must not delay
   * deliveries.
   */
  async run<Answer>(command: Command<Answer>, options: RunOptions = {}): Promise<Answer> {
    const { onLost = () => {}, timeLimit = this.#options.timeLimit } = options;
    if (!this.usable) throw new Error(this.#failure);
    const answer = this.#eval(command);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = deadline(timeLimit, () => reject(new Error(`it did not answer within ${Math.ceil(timeLimit)} ms`)));
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      this.#report(error as Error);
      // Probed at once, a server that makes sense only of probes would get the same commands without end.
      if (error === NO_SENSE) this.#probeLater();
      else if (this.#answers) this.#probe();
      answer.then(onLost, (failure) => {
        if (!(failure instanceof ErrorReply)) onLost();
      });
      throw error;
    } finally {
      cancel();
    }
  }

  close(): void {
    clearTimeout(this.#nextProbe);
    this.#client.destroy();
  }

  async #eval<Answer>([{ text, read }, keys, ...args]: Command<Answer>): Promise<Answer> {
    const prefixed = keys.map((key) => this.#options.prefix + key);
    const answer = read(await this.#client.eval(text, { keys: prefixed, arguments: args }));
    if (answer === undefined) throw NO_SENSE;
    return answer;
  }

  #report(error: Error): void {
    if (!this.#client.isOpen) return; // closed by us
    this.#failure = error.message || String((error as NodeJS.ErrnoException).code ?? error);
    this.#onChange(this.#failure);
  }

  /** Sends a probe. The server counts as unavailable until it answers. */
  #probe(): void {
    this.#answers = false;
    clearTimeout(this.#nextProbe);
    this.#eval(this.#options.probe).then(
      () => {
        this.#answers = true;
        this.#onChange(null);
      },
      (error: Error) => {
        if (!this.#client.isReady) return; // the next 'ready' probes again
        this.#report(error);
        this.#probeLater();
      },
    );
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
