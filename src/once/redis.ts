// `once` in Redis or Valkey, shared by every replica. Claims and commits are atomic on the server; a claim is a lease, so
// that an event whose proxy died is free again. Loaded only where the config asks for it.
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { createClient } from '@redis/client';
import type { OnceStore } from './store.ts';
import { Unsaved } from './unsaved.ts';

export interface RedisOptions {
  /** redis:// or rediss://, with a user and a database number at most. */
  readonly url: string;
  /** Asked at each connect, so that a password may change; null without one. */
  readonly password: (() => Promise<string>) | null;
  /** Hears of the connection's troubles (what is wrong, never a password), and with null that it is well. */
  readonly onTrouble: (trouble: string | null) => void;
}

const PREFIX = 'entrupy-once:';
const DELIVERED = 'delivered';
/** A claim not renewed for this long is free: its proxy has died. Milliseconds. */
export const LEASE_MS = 15_000;
const RENEW_MS = LEASE_MS / 3;
const PATIENCE_MS = 1000;
const RECONNECT_AT_MOST_MS = 1000;

const CLAIM = `local v = redis.call('GET', KEYS[1])
if v == '${DELIVERED}' then return 'delivered' end
if v then return 'busy' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'first'`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`;
const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 1`;

export function createRedisStore(options: RedisOptions): OnceStore {
  const connection = new Connection(options, () => unsaved.save());
  /** Keys that this process holds a lease on, with their tokens. */
  const held = new Map<string, string>();
  const unsaved = new Unsaved((key, window) => connection.set(key, window));
  const renewal = setInterval(() => {
    for (const [key, token] of held) connection.run(RENEW, key, [token, String(LEASE_MS)]).catch(() => {});
  }, RENEW_MS).unref();

  return {
    async claim(key) {
      if (unsaved.has(key)) return { kind: 'delivered' };
      const token = randomUUID();
      // An answer that comes too late may be a claim: it would keep the event from everybody until the lease is over.
      const tooLate = (answer: unknown) => answer === 'first' && connection.run(RELEASE, key, [token]).catch(() => {});
      const answer = await connection.run(CLAIM, key, [token, String(LEASE_MS)], tooLate);
      if (answer !== 'first') return { kind: answer === DELIVERED ? 'delivered' : 'busy' };
      held.set(key, token);
      return { kind: 'first', token };
    },
    async commit(key, token, window) {
      if (held.get(key) === token) held.delete(key);
      await connection.set(key, window).catch((error: unknown) => {
        unsaved.add(key, window);
        throw error;
      });
    },
    async release(key, token) {
      if (held.get(key) === token) held.delete(key);
      await connection.run(RELEASE, key, [token]);
    },
    entries: () => held.size,
    close() {
      clearInterval(renewal);
      connection.close();
    },
  };
}

/** One connection that comes back by itself. Whoever asks while it is away, or stuck, is told so at once. */
class Connection {
  readonly #client;
  readonly #onTrouble: RedisOptions['onTrouble'];
  readonly #onReady: () => void;
  /** Why it can't be asked, where it can't. */
  #trouble = 'not connected yet';
  #stuck = false;
  #probe: NodeJS.Timeout | undefined;

  constructor({ url, password, onTrouble }: RedisOptions, recovered: () => void) {
    this.#onTrouble = onTrouble;
    this.#onReady = () => {
      this.#stuck = false;
      onTrouble(null);
      recovered();
    };
    const { hostname, port, username, pathname, protocol } = new URL(url);
    const host = hostname.replace(/^\[|\]$/g, '');
    const user = username === '' ? {} : { username: decodeURIComponent(username) };
    this.#client = createClient({
      RESP: 2,
      database: Number(pathname.slice(1)),
      socket: {
        host,
        port: Number(port) || 6379,
        ...(protocol === 'rediss:' ? { tls: true, ...(isIP(host) === 0 ? { servername: host } : {}) } : {}),
        connectTimeout: PATIENCE_MS,
        reconnectStrategy: (retries: number) => Math.min(50 * 2 ** Math.min(retries, 10), RECONNECT_AT_MOST_MS),
      },
      credentialsProvider: {
        type: 'async-credentials-provider',
        credentials: async () => (password === null ? user : { ...user, password: await password() }),
      },
      // Commands while it is away fail at once: onStoreFailure decides, and no request waits in a queue of the client's.
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: 'disabled',
    });
    this.#client.on('ready', this.#onReady);
    this.#client.on('error', (error: Error) => {
      this.#trouble = error.message || String((error as NodeJS.ErrnoException).code ?? error);
      onTrouble(this.#trouble);
    });
    this.#client.connect().catch(() => {}); // it goes on trying, and says so by 'error'
  }

  run(script: string, key: string, args: string[], tooLate?: (answer: unknown) => void): Promise<unknown> {
    return this.#ask(() => this.#client.eval(script, { keys: [PREFIX + key], arguments: args }), tooLate);
  }

  async set(key: string, window: number): Promise<void> {
    await this.#ask(() =>
      this.#client.set(PREFIX + key, DELIVERED, { expiration: { type: 'PX', value: Math.ceil(window) } }),
    );
  }

  close(): void {
    clearTimeout(this.#probe);
    this.#client.destroy();
  }

  /** A server that accepts and never answers must not hold a delivery: after the first that waited in vain nobody waits. */
  #ask(command: () => Promise<unknown>, tooLate: (answer: unknown) => void = () => {}): Promise<unknown> {
    if (this.#stuck || !this.#client.isReady) return Promise.reject(new Error(this.#trouble));
    return new Promise((resolve, reject) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        this.#giveUp();
        reject(new Error(this.#trouble));
      }, PATIENCE_MS);
      command()
        .then((answer) => {
          if (late) return tooLate(answer);
          this.#onTrouble(null); // an error of the server's own, such as READONLY, is over with the next good answer
          resolve(answer);
        }, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  #giveUp(): void {
    if (this.#stuck) return;
    this.#stuck = true;
    this.#trouble = `it did not answer within ${PATIENCE_MS} ms`;
    const look = () => {
      const answered = this.#client.isReady ? this.#client.ping() : Promise.reject(new Error('away'));
      answered.then(this.#onReady, () => {
        this.#probe = setTimeout(look, PATIENCE_MS).unref();
      });
    };
    look();
  }
}
