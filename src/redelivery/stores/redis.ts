// The store of deferred deliveries in Redis or Valkey, shared by all replicas with one name. Everything that changes it
// is one script on the server (redis-scripts.ts). A claim is a lease: if its process dies, another one gets the event.
import type { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, PROBE_EVERY_MS, RedisConnection, TIMEOUT_MS } from '../../once/redis-connection.ts';
import {
  ADD,
  CLAIM,
  DROP,
  keysOf,
  LIST,
  LOST,
  type Mark,
  type Page,
  PROBE,
  READ,
  RELEASE,
  REMOVE,
  RENEW,
} from './redis-scripts.ts';
import {
  type Added,
  type Claim,
  type Claimed,
  countedBytes,
  type DeferredStore,
  type Entry,
  type Listing,
  mostEntries,
  type OnStoreChange,
  type StoredBytes,
  type StoreOptions,
  TIME_LIMIT_MS,
} from './store.ts';

/** Bodies cross a network. */
const LIMIT_MS = 10 * TIME_LIMIT_MS;
/** Ids that the server is asked about at once. */
const BATCH = 500;

const EVICTS = 'the store may drop deferred deliveries: its maxmemory-policy evicts keys that have no time to live';

const UNKNOWN: Mark = { epoch: '', number: 0 };

/** Resolves once it is known whether the server is available, so that the first delivery is stored too. */
export async function createRedisStore(options: StoreOptions, onChange: OnStoreChange): Promise<DeferredStore> {
  const store = new RedisStore(options, onChange);
  await Promise.race([store.known, sleep(TIMEOUT_MS, undefined, { ref: false })]);
  return store;
}

class RedisStore implements DeferredStore {
  readonly #options: StoreOptions;
  readonly #onChange: OnStoreChange;
  readonly #connection: RedisConnection;
  readonly #renewal: NodeJS.Timeout;
  readonly #known = Promise.withResolvers<void>();
  /** The claims of this process: ids and the tokens of the last claim of each. */
  readonly #claims = new Map<string, string>();
  /** What this process knows to be stored: if the server forgets all, nobody else can tell what is lost. */
  readonly #marks = new Map<string, Mark>();
  /** Drops that the server has told, and that no listing has passed on yet. */
  readonly #untold = new Set<string>();
  #failure: string | null = null;
  #policy = '';

  constructor(options: StoreOptions, onChange: OnStoreChange) {
    this.#options = options;
    this.#onChange = onChange;
    const prefix = `entrupy-deferred:{${options.name}}:`;
    const connecting = { ...options, prefix, timeLimit: LIMIT_MS, probe: PROBE };
    this.#connection = new RedisConnection(connecting, (failure) => {
      if (failure === null) return this.#look();
      this.#report(failure);
      this.#known.resolve();
    });
    this.#renewal = setInterval(() => this.#look(), PROBE_EVERY_MS).unref();
  }

  /** Resolves once the server has answered, or has failed. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  async add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added> {
    const sizes = [String(countedBytes(record)), String(this.#options.maxBytes)];
    const { head, body } = record;
    const { kind, mark, failure } = await this.#connection.run([ADD, keysOf(id), id, head, body, ...sizes, over]);
    if (kind === 'failed') {
      this.#report(failure);
      throw new Error(failure);
    }
    if (kind === 'stored' && this.#isOwner) this.#marks.set(id, mark);
    return kind;
  }

  async list(): Promise<Listing> {
    const end = performance.now() + LIMIT_MS;
    const run = <Answer>(command: Command<Answer>) =>
      this.#connection.run(command, { timeLimit: Math.max(1, end - performance.now()) });
    const before = [...this.#marks];
    const most = mostEntries(this.#options.maxBytes);
    const entries = new Map<string, Entry>();
    let page: Page = { cursor: '0', epoch: '', entries: [], dropped: [] };
    do {
      page = await run([LIST, keysOf(''), page.cursor, this.#options.as]);
      for (const { number, ...entry } of page.entries) {
        entries.set(entry.id, entry);
        if (this.#isOwner) this.#marks.set(entry.id, { epoch: page.epoch, number });
      }
      for (const id of page.dropped) this.#untold.add(id);
    } while (page.cursor !== '0' && entries.size < most);
    if (page.cursor === '0') {
      const gone = before.filter(([id, mark]) => !entries.has(id) && this.#marks.get(id) === mark);
      const doubtful = gone.filter(([, { epoch }]) => epoch !== page.epoch);
      for (let at = 0; at < doubtful.length; at += BATCH) {
        const asked = doubtful.slice(at, at + BATCH).flatMap(([id, mark]) => [id, mark.epoch, String(mark.number)]);
        for (const id of await run([LOST, keysOf(''), ...asked])) this.#untold.add(id);
      }
      for (const [id] of gone) this.#marks.delete(id);
    }
    const dropped = [...this.#untold];
    this.#untold.clear();
    return { entries: [...entries.values()].slice(0, most), dropped };
  }

  async claim(id: string): Promise<Claimed> {
    const claim = { id, token: randomUUID() };
    const { epoch, number } = this.#marks.get(id) ?? UNKNOWN;
    const rules = [String(this.#options.mostBytes()), epoch, String(number), this.#claims.get(id) ?? ''];
    const found = await this.#connection.run([CLAIM, keysOf(id), id, claim.token, ...rules]);
    if (found.kind === 'claimed') this.#claims.set(id, claim.token);
    else this.#claims.delete(id);
    if (found.kind === 'removed' || found.kind === 'dropped') this.#marks.delete(id);
    return found.kind === 'claimed' ? { ...found, claim } : found;
  }

  async release({ id, token }: Claim, progress: Buffer | null): Promise<void> {
    this.#forget(id, token); // whatever happens now, the lease is not renewed
    await this.#connection.run([RELEASE, keysOf(id), token, ...(progress === null ? [] : [progress])]);
  }

  /** After a failure the claim stays: the delivery was taken, and nobody else should send it meanwhile. */
  async remove({ id, token }: Claim): Promise<boolean> {
    const removed = await this.#connection.run([REMOVE, keysOf(id), id, token]);
    this.#forget(id, token);
    if (removed === 1) this.#marks.delete(id);
    return removed === 1;
  }

  read(id: string): Promise<StoredBytes | null> {
    return this.#connection.run([READ, keysOf(id), id, String(this.#options.mostBytes())]);
  }

  async drop(id: string): Promise<boolean> {
    return (await this.#connection.run([DROP, keysOf(id), id])) === 1;
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    await Promise.allSettled([...this.#claims].map(([id, token]) => this.release({ id, token }, null)));
    this.#connection.close();
  }

  #forget(id: string, token: string): void {
    if (this.#claims.get(id) === token) this.#claims.delete(id);
  }

  get #isOwner(): boolean {
    return this.#options.as === 'owner';
  }

  /** Renews every lease, and asks how the server is, which finds a stuck one even if there is nothing to do. */
  #look(): void {
    for (const [id, token] of this.#claims) this.#connection.run([RENEW, keysOf(id), token]).catch(() => {});
    const looked = this.#connection.run(PROBE).then(({ failure, policy }) => {
      this.#report(failure);
      const isNew = policy !== this.#policy;
      this.#policy = policy;
      if (isNew && policy.startsWith('allkeys')) this.#options.onRemark(EVICTS, { policy });
    });
    looked.catch(() => {}).finally(this.#known.resolve); // the connection has reported it
  }

  #report(failure: string | null): void {
    if (failure === this.#failure) return;
    this.#failure = failure;
    this.#onChange(failure);
  }
}
