// The connection to Redis or Valkey, which reconnects by itself. While the server is down, stuck or refuses us,
// commands fail at once: no request may wait in the client library's queue.
import { isIP } from 'node:net';
import { createClient, ErrorReply } from '@redis/client';
import type { OnStoreChange, StoreOptions } from './store.ts';

/** A Lua script with everything that it can answer: any other answer is a failure of the store. */
export interface Script<Answer> {
  readonly text: string;
  readonly answers: readonly Answer[];
}

/** A script, the event's key and the script's argument. */
export type Command<Answer> = readonly [script: Script<Answer>, key: string, argument: string];

const PREFIX = 'entrupy-once:';
/** The longest wait for an answer, and the longest pause between two attempts. */
export const TIMEOUT_MS = 1000;
export const PROBE_EVERY_MS = 5000;
/** A connection without a byte for this long is dead, whatever the kernel says: probes are more frequent. */
const SILENT_MS = 2 * PROBE_EVERY_MS;

/** A write, as a claim is: a full or read-only server would still answer PING. */
const PROBE_SCRIPT: Script<1> = { text: `redis.call('SET', KEYS[1], '', 'PX', 1) return 1`, answers: [1] };
export const PROBE: Command<1> = [PROBE_SCRIPT, 'look', ''];

const NO_SENSE = new Error('it gave an answer that makes no sense');

export class RedisConnection {
  readonly #client;
  readonly #prefix: string;
  readonly #onChange: OnStoreChange;
  #failure = 'not connected yet';
  /** True once a probe was answered: the kernel of a stuck server still accepts connections. */
  #answers = false;
  #nextProbe: NodeJS.Timeout | undefined;

  /** `onChange` gets null each time the server becomes available. */
  constructor(options: StoreOptions, onChange: OnStoreChange) {
    this.#onChange = onChange;
    // Without a name the keys are those of 0.2.0, so that an upgrade forgets no event.
    this.#prefix = options.name === '' ? PREFIX : `${PREFIX}${options.name}:`;
    this.#client = createClient(clientOptions(options));
    this.#client.on('ready', () => this.#probe());
    this.#client.on('error', (error: Error) => this.#report(error));
    this.#client.connect().catch(() => {}); // the client keeps trying, and emits 'error'
  }

  get usable(): boolean {
    return this.#answers && this.#client.isReady;
  }

  /**
   * Runs a command. `onLost`: the server may have run it, but its answer came too late or never. Once a command has
   * timed out, no other one waits: a server that accepts and never answers must not delay deliveries.
   */
  async run<Answer>(command: Command<Answer>, onLost = () => {}): Promise<Answer> {
    if (!this.usable) throw new Error(this.#failure);
    const answer = this.#eval(command);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`it did not answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
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
      clearTimeout(timer);
    }
  }

  close(): void {
    clearTimeout(this.#nextProbe);
    this.#client.destroy();
  }

  async #eval<Answer>([{ text, answers }, key, argument]: Command<Answer>): Promise<Answer> {
    const given: unknown = await this.#client.eval(text, { keys: [this.#prefix + key], arguments: [argument] });
    const answer = answers.find((known) => known === given);
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
    this.#eval(PROBE).then(
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

function clientOptions({ store, passwordFile, readPassword }: StoreOptions) {
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
