// The store of `once` in Redis or Valkey, shared by all replicas. Claims and commits are atomic on the server. A claim
// is a lease: if its proxy dies, the event becomes free again.
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import {
  type Command,
  type ConnectionOptions,
  noSense,
  oneOf,
  PROBE_EVERY_MS,
  RedisConnection,
  type Script,
  TIMEOUT_MS,
} from '../redis/connection.ts';
import type { ClaimAnswer, OnceStore, OnStoreChange } from './store.ts';

const PREFIX = 'entrupy-once:';
const DELIVERED = 'delivered';
/** Milliseconds after which a claim expires if it is not renewed: then its proxy has died. */
const LEASE_MS = 3 * PROBE_EVERY_MS;

const CLAIM: Script<ClaimAnswer> = {
  text: `local v = redis.call('GET', KEYS[1])
if v == '${DELIVERED}' then return 'delivered' end
if v then return 'busy' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS})
return 'first'`,
  read: oneOf(['first', 'delivered', 'busy']),
};
const COMMIT = done(`redis.call('SET', KEYS[1], '${DELIVERED}', 'PX', ARGV[1])`);
const RELEASE = done(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);
/** Renews a lease, or restores a lost one: the server may have restarted or hung while the delivery continued. */
const RENEW = done(`local v = redis.call('GET', KEYS[1])
if not v or v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS}) end`);

/**
 * Does to a key that no event has all that the others do, and names the command that the server refuses. Answers with
 * the server's maxmemory-policy, empty if the user may not ask for it.
 */
const TEST = `local function fails(name, ...)
  local answer = redis.pcall(name, KEYS[1], ...)
  return type(answer) == 'table' and answer.err and answer.err .. ' (' .. name .. ')'
end
local problem = fails('SET', '${DELIVERED}', 'PX', ${LEASE_MS}) or fails('GET') or fails('DEL')
if problem then return redis.error_reply(problem) end
local info = redis.pcall('INFO', 'memory')
return type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''`;

function done(text: string): Script<1> {
  return { text: `${text} return 1`, read: oneOf([1]) };
}

interface Options extends Pick<ConnectionOptions, 'store' | 'passwordFile' | 'readPassword'> {
  /** Part of the keys: apps with different names know nothing of each other's events. */
  readonly name: string;
}

/** Opens the store. Resolves once it is known if the server is available, so that even the first event is checked. */
export async function createRedisStore(options: Options, onChange: OnStoreChange): Promise<OnceStore> {
  /** The leases of this process: keys and their tokens. */
  const leases = new Map<string, string>();
  // Without a name the keys are those of 0.2.0, so that an upgrade forgets no event.
  const prefix = options.name === '' ? PREFIX : `${PREFIX}${options.name}:`;
  let policy = '';
  const read = (given: unknown) => {
    policy = given instanceof Buffer ? given.toString() : noSense();
  };
  const test: Command<void> = [{ text: TEST, read }, ['test']];
  const connection = new RedisConnection({
    ...options,
    prefix,
    timeLimit: TIMEOUT_MS,
    firstWait: TIMEOUT_MS,
    test,
    onUsable: () => renew(),
    onChange,
  });
  const renew = () => {
    for (const [key, token] of leases) connection.run([RENEW, [key], token]).catch(() => {});
  };
  const renewal = setInterval(renew, PROBE_EVERY_MS).unref();

  await connection.firstAnswer;
  return {
    async claim(key) {
      const token = randomUUID();
      const answer = await connection.run([CLAIM, [key], token]);
      if (answer === 'first') leases.set(key, token);
      return answer;
    },
    async commit(key, window) {
      leases.delete(key);
      await connection.run([COMMIT, [key], String(Math.ceil(window))]);
    },
    async release(key) {
      const token = leases.get(key);
      leases.delete(key);
      if (token !== undefined) await connection.run([RELEASE, [key], token]);
    },
    entries: () => leases.size,
    evicts: () => (policy === '' || policy === 'noeviction' ? null : policy),
    close() {
      clearInterval(renewal);
      connection.close();
    },
  };
}
