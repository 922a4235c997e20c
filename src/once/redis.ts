// `once` in Redis or Valkey, shared by every replica. Claims and commits are atomic on the server; a claim is a lease, so
// that an event whose proxy died is free again. Loaded only where the config asks for it.
import { randomUUID } from 'node:crypto';
import { Connection, type ConnectionOptions } from './connection.ts';
import type { OnceStore } from './store.ts';
import { Unsaved } from './unsaved.ts';

const PREFIX = 'entrupy-once:';
const DELIVERED = 'delivered';
/** A claim not renewed for this long is free: its proxy has died. Milliseconds. */
export const LEASE_MS = 15_000;
const RENEW_MS = LEASE_MS / 3;

const CLAIM = `local v = redis.call('GET', KEYS[1])
if v == '${DELIVERED}' then return 'delivered' end
if v then return 'busy' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'first'`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`;
/** Also where it is gone: the server has restarted, or was stuck for longer than a lease, and the delivery goes on. */
const RENEW = `local v = redis.call('GET', KEYS[1])
if not v or v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1`;

/** Resolves when it is known whether the server can be asked, so that the first event is asked about too. */
export async function createRedisStore(options: ConnectionOptions): Promise<OnceStore> {
  const connection = new Connection(options, PREFIX, () => {
    unsaved.save();
    renew();
    const late = [...unreleased];
    unreleased.clear();
    for (const [key, token] of late) release(key, token).catch(() => {});
  });
  /** Keys that this process holds a lease on, with their tokens. */
  const held = new Map<string, string>();
  /** Leases to be given back once the server can be asked: no more than were asked for when it failed. */
  const unreleased = new Map<string, string>();
  const unsaved = new Unsaved((key, window) => connection.set(key, DELIVERED, window));
  const renew = () => {
    for (const [key, token] of held) connection.run(RENEW, key, [token, String(LEASE_MS)]).catch(() => {});
  };
  const renewal = setInterval(renew, RENEW_MS).unref();
  const release = async (key: string, token: string) => {
    // Before the attempt, not after it: the server may be back by then, and nobody would look again.
    if (!connection.usable) unreleased.set(key, token);
    await connection.run(RELEASE, key, [token], () => unreleased.set(key, token));
  };

  await connection.known;
  return {
    async claim(key) {
      if (unsaved.has(key)) return { kind: 'delivered' };
      const token = randomUUID();
      // An answer that nobody waits for may be a claim: it would keep the event from everybody until the lease is over.
      const unheard = () => void release(key, token).catch(() => {});
      const answer = await connection.run(CLAIM, key, [token, String(LEASE_MS)], unheard);
      if (answer !== 'first') return { kind: answer === DELIVERED ? 'delivered' : 'busy' };
      held.set(key, token);
      return { kind: 'first', token };
    },
    async commit(key, token, window) {
      if (held.get(key) === token) held.delete(key);
      await connection.set(key, DELIVERED, window).catch((error: unknown) => {
        unsaved.add(key, window);
        throw error;
      });
    },
    async release(key, token) {
      if (held.get(key) === token) held.delete(key);
      await release(key, token);
    },
    entries: () => held.size,
    close() {
      clearInterval(renewal);
      connection.close();
    },
  };
}
