// The store of `once` in Redis or Valkey, shared by all replicas. Claims and commits are atomic on the server. A claim
// is a lease: if its proxy dies, the event becomes free again.
import { randomUUID } from 'node:crypto';
import { EventMemory } from './memory.ts';
import { type Command, PROBE_EVERY_MS, RedisConnection, type Script, script, TIMEOUT_MS } from './redis-connection.ts';
import type { Claim, OnceStore, OnStoreChange, StoreOptions } from './store.ts';

const PREFIX = 'entrupy-once:';
const DELIVERED = 'delivered';
/** Milliseconds. A claim that is not renewed for this long expires: its proxy has died. */
const LEASE_MS = 3 * PROBE_EVERY_MS;
const MAX_UNSAVED = 10_000;

const CLAIM: Script<Claim> = script(
  `local v = redis.call('GET', KEYS[1])
if v == '${DELIVERED}' then return 'delivered' end
if v then return 'busy' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS})
return 'first'`,
  ['first', 'delivered', 'busy'],
);
const COMMIT = done(`redis.call('SET', KEYS[1], '${DELIVERED}', 'PX', ARGV[1])`);
const RELEASE = done(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);
/** Renews a lease, or restores a lost one: the server may have restarted or hung while the delivery continued. */
const RENEW = done(`local v = redis.call('GET', KEYS[1])
if not v or v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS}) end`);

const PROBE: Command<1> = [done(`redis.call('SET', KEYS[1], '', 'PX', 1)`), ['look']];

/** A script that only says that it is done. */
function done(text: string): Script<1> {
  return script(`${text} return 1`, [1]);
}

/** Resolves once it is known whether the server is available, so that the first event is checked too. */
export async function createRedisStore(options: StoreOptions, onChange: OnStoreChange): Promise<OnceStore> {
  /** The leases of this process: keys and their tokens. */
  const leases = new Map<string, string>();
  /** Leases to release once the server is available again: at most those of the commands that its failure caught. */
  const unreleased = new Map<string, string>();
  /** Events delivered while the server was unavailable: without them, each later twin would be delivered again. */
  const unsaved = new EventMemory(MAX_UNSAVED);
  const known = Promise.withResolvers<void>();
  setTimeout(known.resolve, TIMEOUT_MS).unref();
  // Without a name the keys are those of 0.2.0, so that an upgrade forgets no event.
  const prefix = options.name === '' ? PREFIX : `${PREFIX}${options.name}:`;
  const connection = new RedisConnection({ ...options, prefix, timeLimit: TIMEOUT_MS, probe: PROBE }, (failure) => {
    known.resolve();
    onChange(failure);
    if (failure !== null) return;
    unsaved.moveTo(commit);
    renew();
    const late = [...unreleased];
    unreleased.clear();
    for (const [key, token] of late) release(key, token).catch(() => {});
  });
  /** Renews every lease, and sends a probe, which finds a stuck server even if no event comes. */
  const renew = () => {
    const renewals = [...leases].map(([key, token]) => [RENEW, [key], token] as const);
    for (const command of [PROBE, ...renewals]) connection.run(command).catch(() => {});
  };
  const commit = async (key: string, window: number) => {
    await connection.run([COMMIT, [key], String(Math.ceil(window))]);
  };
  const release = async (key: string, token: string) => {
    // Recorded before the attempt: if the server came back before the attempt failed, nothing would release it later.
    if (!connection.usable) unreleased.set(key, token);
    await connection.run([RELEASE, [key], token], { onLost: () => unreleased.set(key, token) });
  };
  const renewal = setInterval(renew, PROBE_EVERY_MS).unref();

  await known.promise;
  return {
    async claim(key) {
      if (unsaved.has(key)) return 'delivered';
      const token = randomUUID();
      // A claim whose answer was lost would block the event until the lease expires.
      const answer = await connection.run([CLAIM, [key], token], { onLost: () => unreleased.set(key, token) });
      if (answer === 'first') leases.set(key, token);
      return answer;
    },
    async commit(key, window) {
      leases.delete(key);
      await commit(key, window).catch((error: unknown) => {
        unsaved.add(key, window);
        throw error;
      });
    },
    async release(key) {
      const token = leases.get(key);
      leases.delete(key);
      if (token !== undefined) await release(key, token);
    },
    entries: () => leases.size,
    close() {
      clearInterval(renewal);
      connection.close();
    },
  };
}
