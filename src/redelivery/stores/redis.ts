// The queue of deferred deliveries in Redis or Valkey, shared by all replicas with the same name. Every call
// runs one script on the server (redis-script.ts), whose clock is the only one.
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { onePerTurn } from '../../base/deadline.ts';
import { ignore } from '../../base/errors.ts';
import { DEFERRED_STATES } from '../../core/redelivery-record.ts';
import { noSense, RedisConnection, script } from '../../redis/connection.ts';
import { noteText, readNote, readWords } from '../note.ts';
import { KEYS, SCRIPT } from './redis-script.ts';
import * as contract from './store.ts';

const EVICTS = 'the store may drop deferred deliveries: its maxmemory-policy evicts keys that have no time to live';
const LOST = 'the server holds nothing any more';

const SET = script(SCRIPT, ['set', 'dropped', 'absent']);
const DROPPED = script(SCRIPT, ['dropped', 'absent', 'leased']);

/** Opens the store. Resolves once it is known if the server is available, so that even the first delivery is stored. */
export async function create(options: contract.StoreOptions): Promise<contract.DeferredStore> {
  const { name, maxBytes, mostBytes, onChange, onLoss, onRemark } = options;
  let lastPolicy = '';
  /** The `life` (redis-script.ts) of what is stored, as far as this process knows; empty if nothing is stored. */
  let lastLife = '';

  function looked(given: unknown): void {
    const [problem = '', policy = '', life = '', bytes] = listOf(given, 4).map(textOf);
    onChange(problem || null);
    if (lastLife !== '' && life !== lastLife) onLoss(LOST);
    lastLife = bytes === '0' ? '' : life;
    if (policy !== lastPolicy && policy.startsWith('allkeys')) onRemark(EVICTS, { policy });
    lastPolicy = policy;
  }

  const probe = [{ text: SCRIPT, read: looked }, KEYS, 'look'] as const;
  const settings = { ...options, prefix: `entrupy-deferred:{${name}}:`, timeLimit: contract.CALL_LIMIT_MS, probe };
  // Only a look reports that the store works; the connection reports only problems.
  const connection = new RedisConnection({ ...settings, onChange: (problem) => problem && onChange(problem) });
  const look = onePerTurn(() => connection.run(probe).catch(ignore));
  type Args = readonly (string | number | Buffer)[];
  const run = <Answer>(read: (given: unknown) => Answer, call: keyof contract.DeferredStore, ...args: Args) => {
    const texts = args.map((arg) => (typeof arg === 'number' ? String(Math.ceil(arg)) : arg));
    return connection.run([{ text: SCRIPT, read }, KEYS, call, ...texts]);
  };

  await connection.firstAnswer;
  return {
    async add({ id, record, note }, pause) {
      const added = await run(textOf, 'add', id, maxBytes, pause, noteText(note), ...record);
      const known = (['stored', 'replaced', 'full', 'crowded'] as const).find((each) => each === added);
      // This look learns the `life` at once: otherwise a loss before the next regular look would go unseen.
      if (known === 'stored' && lastLife === '') void look();
      if (known !== undefined) return known;
      onChange(added);
      throw new Error(added);
    },
    lease: ({ limit, room, held }) => run(allLeasedOf, 'lease', limit, room, mostBytes(), `${randomUUID()}.`, ...held),
    async set(lease, setting) {
      const note = setting?.note ? [noteText(setting.note)] : [];
      const given = setting === null ? [] : [setting.pause, setting.state, ...note];
      return (await run(SET.read, 'set', lease, ...given)) !== 'absent';
    },
    end: async (id, age) => (await run(DROPPED.read, 'end', id, age)) === 'dropped',
    page: (place) => run(pageOf, 'page', place),
    wake: (ids) => run(numberOf, 'wake', ...ids),
    read: (id) => run((given) => (bytesOf(given).length > 0 ? bytesOf(given) : null), 'read', id, mostBytes()),
    drop: (id) => run(DROPPED.read, 'drop', id),
    summary: () => run(summaryOf, 'summary'),
    close: async () => connection.close(),
  };
}

// --- answers

function allLeasedOf(given: unknown) {
  const [all, wait] = listOf(given, 2);
  const leased = listOf(all).map((each): contract.Leased => {
    const [entry, lease, record] = listOf(each, 3);
    return { ...entryOf(entry), lease: textOf(lease), record: record === null ? null : bytesOf(record) };
  });
  return { leased, wait: numberOf(wait) < 0 ? Number.POSITIVE_INFINITY : numberOf(wait) };
}

function pageOf(given: unknown): readonly [next: string, entries: readonly contract.Entry[]] {
  const [next, entries] = listOf(given, 2);
  return [textOf(next), listOf(entries).map(entryOf)];
}

function summaryOf(given: unknown): contract.Summary {
  const [groups = [], soonest = [], dropped = []] = listOf(given, 3).map((part) => listOf(part));
  return {
    groups: groups.map(groupOf),
    soonest: soonest.map(entryOf),
    dropped: dropped.map(textOf).map((each) => {
      return { id: contract.leasedId(each), note: readNote(each.slice(contract.ID_LENGTH + 1)) };
    }),
  };
}

function groupOf(given: unknown): contract.Group {
  const [group, deliveries, bytes, oldest] = listOf(given, 4);
  const [state, words = ''] = textOf(group).split('\n');
  const sums = { deliveries: numberOf(deliveries), bytes: numberOf(bytes), oldest: numberOf(oldest) };
  return { state: stateOf(state), ...readWords(words), ...sums };
}

function entryOf(given: unknown): contract.Entry {
  const [id, bytes, state, note, wait] = listOf(given, 5);
  const known = { state: stateOf(textOf(state)), note: readNote(textOf(note)) };
  return { ...known, id: textOf(id), bytes: numberOf(bytes), wait: numberOf(wait) };
}

const stateOf = (state: unknown) => DEFERRED_STATES.find((each) => each === state) ?? 'waiting';
const bytesOf = (given: unknown) => (given instanceof Buffer ? (given as Buffer<ArrayBuffer>) : noSense());
const textOf = (given: unknown) => bytesOf(given).toString();
const numberOf = (given: unknown) => (typeof given === 'number' ? given : noSense());
const listOf = (given: unknown, length?: number): readonly unknown[] =>
  Array.isArray(given) && given.length === (length ?? given.length) ? given : noSense();
