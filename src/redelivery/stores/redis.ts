// The queue of deferred deliveries in Redis or Valkey, shared by all replicas with one name. Everything that changes it is
// one script on the server (redis-scripts.ts), whose clock is the only one.
import { randomUUID } from 'node:crypto';
import { RedisConnection, type Script } from '../../redis/connection.ts';
import { noteText, wordsText } from '../note.ts';
import * as scripts from './redis-scripts.ts';
import * as contract from './store.ts';

/** Bodies cross a network. */
const LIMIT_MS = 10 * contract.TIME_LIMIT_MS;

const EVICTS = 'the store may drop deferred deliveries: its maxmemory-policy evicts keys that have no time to live';
const LOST = 'the server holds nothing any more';

/** Resolves once it is known whether the server is available, so that the first delivery is stored too. */
export async function createRedisStore(
  options: contract.StoreOptions,
  onChange: contract.OnStoreChange,
): Promise<contract.DeferredStore> {
  const store = new RedisStore(options, onChange);
  await store.known;
  return store;
}

class RedisStore implements contract.DeferredStore {
  readonly #options: contract.StoreOptions;
  readonly #onChange: contract.OnStoreChange;
  readonly #connection: RedisConnection;
  readonly known: Promise<void>;
  #problem: string | null = null;
  #policy = '';
  /** Of the next summary. */
  #cursor = '0';
  /** Of what this process knows to be stored; empty if that is nothing. */
  #life = '';

  constructor(options: contract.StoreOptions, onChange: contract.OnStoreChange) {
    this.#options = options;
    this.#onChange = onChange;
    const prefix = `entrupy-deferred:{${options.name}}:`;
    const look: Script<void> = { ...scripts.LOOK, read: (given) => this.#look(scripts.LOOK.read(given)) };
    const settings = { ...options, prefix, timeLimit: LIMIT_MS, probe: [look, scripts.KEYS] } as const;
    this.#connection = new RedisConnection(settings, (problem) => {
      if (problem !== null) this.#report(problem); // else the look has
    });
    this.known = this.#connection.known;
  }

  async add({ id, record, note }: contract.Event, pause: number): Promise<contract.Added> {
    const sums = { words: wordsText(note), came: `${note.at}`.padStart(16, '0') };
    const event = { ...sums, bytes: contract.bytesOf(record), state: 'waiting', note: noteText(note) };
    const { maxBytes } = this.#options;
    const added = await this.#run(scripts.ADD, id, record.head, record.body, maxBytes, pause, JSON.stringify(event));
    if (typeof added === 'string') return added;
    this.#report(added.problem);
    throw new Error(added.problem);
  }

  take({ limit, room, held }: contract.Asked) {
    const turns = held.flatMap(({ id, turn }) => [id, turn]);
    return this.#run(scripts.TAKE, limit, room, this.#options.mostBytes(), `${randomUUID()}.`, ...turns);
  }

  async set({ id, turn }: contract.Turn, { pause, state, note }: contract.Setting): Promise<boolean> {
    const texts = note === null ? [] : [noteText(note), wordsText(note)];
    return (await this.#run(scripts.SET, id, turn, pause, state, ...texts)) === 1;
  }

  async remove({ id, turn }: contract.Turn): Promise<boolean> {
    return (await this.#run(scripts.LEAVE, 'turn', id, turn)) === 'dropped';
  }

  async end(id: string, age: number): Promise<boolean> {
    return (await this.#run(scripts.LEAVE, 'fresh', id, age)) === 'dropped';
  }

  async *list(): AsyncGenerator<readonly contract.Entry[]> {
    let cursor = '';
    while (cursor !== '0') {
      const [next, page] = await this.#run(scripts.LIST, cursor || '0');
      yield page;
      cursor = next;
    }
  }

  wake(ids: readonly string[]): Promise<number> {
    return this.#run(scripts.WAKE, ...ids);
  }

  async read(id: string): Promise<contract.StoredBytes | null> {
    const record = await this.#run(scripts.READ, id, this.#options.mostBytes());
    return typeof record === 'string' ? null : record;
  }

  drop(id: string): Promise<contract.Dropped> {
    return this.#run(scripts.LEAVE, 'person', id, '');
  }

  async summary(): Promise<contract.Summary> {
    const [cursor, summary] = await this.#run(scripts.SUMMARY, this.#cursor);
    this.#cursor = cursor;
    return summary;
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  #run<Answer>(script: Script<Answer>, ...args: readonly (string | number | Buffer)[]): Promise<Answer> {
    const texts = args.map((arg) => (typeof arg === 'number' ? String(Math.ceil(arg)) : arg));
    return this.#connection.run([script, scripts.KEYS, ...texts]);
  }

  #look([problem = '', policy = '', life = '', bytes]: readonly string[]): void {
    this.#report(problem || null);
    if (this.#life !== '' && life !== this.#life) this.#options.onLoss(LOST);
    this.#life = bytes === '0' ? '' : life;
    const isNew = policy !== this.#policy;
    this.#policy = policy;
    if (isNew && policy.startsWith('allkeys')) this.#options.onRemark(EVICTS, { policy });
  }

  #report(problem: string | null): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#onChange(problem);
  }
}
