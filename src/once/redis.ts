// `once` in Redis or Valkey, shared by every replica. Claims and commits are atomic on the server; a claim is a lease, so
// that an event whose proxy died is free again. Loaded only where the config asks for it.
import { randomUUID } from 'node:crypto';
import { createClient } from '@redis/client';
import type { Claim, OnceStore } from './store.ts';

export interface RedisOptions {
  /** redis:// or rediss://, with a database number and no password. */
  readonly url: string;
  readonly password: string | null;
  /** Hears of the connection's troubles and recoveries; nothing in them is secret. */
  readonly onTrouble: (message: string) => void;
}

const PREFIX = 'entrupy-once:';
const DELIVERED = 'delivered';
/** A claim not renewed for this long is free: its proxy has died. Milliseconds. */
const LEASE_MS = 15_000;
const RENEW_MS = LEASE_MS / 3;
const PATIENCE_MS = 1000;
const LOOK_EVERY_MS = 100;
const RECONNECT_AT_MOST_MS = 1000;

const CLAIM = `local v = redis.call('GET', KEYS[1])
if v == '${DELIVERED}' then return 'delivered' end
if v then return 'busy' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'first'`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`;
const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 1`;

export function createRedisStore({ url, password, onTrouble }: RedisOptions): OnceStore {
  const client = createClient({
    url,
    ...(password === null ? {} : { password }),
    // Commands while it is away fail at once: onStoreFailure decides, and no request waits in a queue of the client's.
    disableOfflineQueue: true,
    socket: {
      connectTimeout: PATIENCE_MS,
      reconnectStrategy: (retries: number) => Math.min(50 * 2 ** retries, RECONNECT_AT_MOST_MS),
    },
  });
  client.on('error', (error: Error) => onTrouble(error.message));
  client.connect().catch(() => {}); // it goes on trying, and says so by 'error'

  /** Keys that this process holds a lease on, with their tokens. */
  const held = new Map<string, string>();
  const run = (script: string, key: string, args: string[]) =>
    within(PATIENCE_MS, client.eval(script, { keys: [PREFIX + key], arguments: args }));
  const renewal = setInterval(() => {
    for (const [key, token] of held) run(RENEW, key, [token, String(LEASE_MS)]).catch(() => {});
  }, RENEW_MS).unref();

  return {
    async claim(key): Promise<Claim> {
      const token = randomUUID();
      const result = await run(CLAIM, key, [token, String(LEASE_MS)]);
      if (result !== 'first') return { kind: result === DELIVERED ? 'delivered' : 'busy' };
      held.set(key, token);
      return { kind: 'first', token };
    },
    async commit(key, token, window) {
      if (held.get(key) === token) held.delete(key);
      // Whoever holds it by now: it was delivered, and that is what everybody must be told.
      await within(PATIENCE_MS, client.set(PREFIX + key, DELIVERED, { expiration: { type: 'PX', value: window } }));
    },
    async release(key, token) {
      if (held.get(key) === token) held.delete(key);
      await run(RELEASE, key, [token]);
    },
    change: (_key, milliseconds) => sleep(Math.min(milliseconds, LOOK_EVERY_MS)),
    entries: () => held.size,
    async close() {
      clearInterval(renewal);
      client.destroy();
    },
  };
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A server that accepts and never answers must not hold a delivery. */
function within<T>(milliseconds: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the store did not answer in time')), milliseconds);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
