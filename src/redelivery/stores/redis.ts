// The queue of deferred deliveries in Redis or Valkey, shared by all replicas with the same name. Every call
// runs one script on the server (redis-script.ts), whose clock is the only one.
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ignore } from '../../base/errors.ts';
import { DEFERRED_STATES } from '../../core/fate-by-status.ts';
import { noSense, oneOf, RedisConnection } from '../../redis/connection.ts';
import { noteText, parsedJson, readNote, readWords } from '../note.ts';
import { KEYS, SCRIPT } from './redis-script.ts';
import * as store from './store.ts';

const CHANGED = oneOf(['done', 'leased', 'absent']);

type Args = readonly (string | number | Buffer)[];

/** Opens the store. Resolves once it is known if the server is available, so that even the first delivery is stored. */
export async function create(options: store.StoreOptions): Promise<store.DeferredStore> {
  const { name, maxBytes, largestRecord, onProblem, onLoss, as } = options;
  let policy = '';
  /** The problem that the last test found though it went all the way; empty if there is none. */
  let failure = '';
  /** The name by which the script knows this process; a visitor has none, since it would tell a loss to nobody. */
  const me = as === 'visitor' ? '' : randomUUID().slice(0, 8);
  /** What the last answer said: the `life` (redis-script.ts) of what is stored, the server's time, this process's share. */
  let last = { life: '', now: 0, share: 0, at: 0 };
  let addedAt = 0; // when this process last stored an event, by the server's clock

  /** Reads the answer of a script, and tells this process's share of what is gone. Answers come in the order of the calls. */
  function heard<Answer>(read: (given: unknown) => Answer, given: unknown): Answer {
    const [answer, life, now, share, heardBefore] = listOf(given, 5);
    const before = last;
    last = { life: textOf(life), now: numberOf(now), share: numberOf(share), at: Date.now() };
    // A life without a dot: what was left was put together.
    const isEmpty = last.life !== before.life && (last.life === '' || last.life.includes('.'));
    const heardAt = numberOf(heardBefore);
    const isBack = heardAt > 0 && heardAt < Math.min(before.now, addedAt);
    // Where the server went back, some that were taken since may be there again in place of others.
    const gone = isEmpty ? before.share : Math.max(0, before.share - last.share) || null;
    if (before.share > 0 && (isEmpty || isBack)) tellLost(gone, before.at);
    if (answer instanceof Buffer && /^(?:stored|replaced)$/.test(answer.toString())) addedAt = last.now;
    return read(answer);
  }

  function tellLost(events: number | null, at: number): void {
    const why = `the server no longer has what it had at ${new Date(at).toISOString()}`;
    onLoss(why, events);
    const remember = () => run(textOf, 'remember', why, events ?? '').catch(ignore); // else no page says it after a restart
    // A new connection, whose test tells of the loss, is usable in the next turn.
    void (connection.usable ? remember() : nextTurn().then(remember));
  }

  function tested(given: unknown): void {
    [failure = '', policy = ''] = listOf(given, 2).map(textOf);
    onProblem(failure || null);
  }

  function commandOf<Answer>(read: (given: unknown) => Answer, call: string, ...args: Args) {
    const texts = args.map((arg) => (typeof arg === 'number' ? String(Math.ceil(arg)) : arg));
    return [{ text: SCRIPT, read: (given: unknown) => heard(read, given) }, KEYS, call, me, ...texts] as const;
  }

  const test = commandOf(tested, 'test', store.TEST_ID, noteText(store.TEST_NOTE));
  const connection = new RedisConnection({
    ...options,
    prefix: `entrupy-deferred:{${name}}:`,
    timeLimit: store.CALL_LIMIT_MS,
    // A delivery waits no longer; a command does, which a throttled container takes seconds to connect.
    firstWait: as === 'visitor' ? store.CALL_LIMIT_MS / 2 : store.TIME_LIMIT_MS,
    test,
    onChange: onProblem,
  });
  const run = <Answer>(read: (given: unknown) => Answer, call: string, ...args: Args) =>
    connection.run(commandOf(read, call, ...args));
  const token = () => `${randomUUID()}.`;

  await connection.firstAnswer;
  return {
    async add({ id, record, note }, pause) {
      const added = await run(addedOf, 'add', id, maxBytes, pause, noteText(note), ...record);
      if (typeof added === 'number') return { lacking: added };
      const result = (['stored', 'replaced', 'full', 'crowded'] as const).find((each) => each === added);
      if (result !== undefined) return result;
      onProblem(added);
      throw new Error(added);
    },
    lease: ({ limit, room, leases }) => run(allLeasedOf, 'lease', limit, room, largestRecord(), token(), ...leases),
    change: (changes) =>
      run((given) => listOf(given, changes.length).map(CHANGED), 'change', JSON.stringify(changes.map(sent))),
    async leaseKept(id, bytes) {
      for (let cursor = ''; ; ) {
        const page = run((given) => pageOf(given, leasedOf), 'leaseKept', id, bytes, token(), cursor);
        const [next, leased] = await page;
        if (leased.length > 0 || next === '') return leased;
        cursor = next; // others have leased all on this page
      }
    },
    page: (cursor) => run((given) => pageOf(given, entryOf), 'page', cursor),
    find: async (id) => (await run(leasedIn, 'find', id, largestRecord()))[0] ?? null,
    async summary() {
      const summary = await run(summaryOf, 'summary');
      return { ...summary, evicts: policy.startsWith('allkeys') ? policy : null };
    },
    losses: () => run((given) => listOf(given).map(lossOf).reverse(), 'losses', store.MOST_LOSSES),
    async test() {
      await connection.run(test);
      if (failure !== '') throw new Error(failure);
    },
    close: async () => connection.close(),
  };
}

function sent({ to, ...change }: store.Change): object {
  if (typeof to === 'string') return { ...change, to };
  return { ...change, to: { ...to, pause: Math.ceil(to.pause), note: to.note && noteText(to.note) } };
}

function allLeasedOf(given: unknown) {
  const [all, wait] = listOf(given, 2);
  return { leased: leasedIn(all), wait: numberOf(wait) < 0 ? Number.POSITIVE_INFINITY : numberOf(wait) };
}

const leasedIn = (given: unknown) => listOf(given).map(leasedOf);

function leasedOf(given: unknown): store.Leased & store.Found {
  const [entry, lease, record] = listOf(given, 3);
  return { ...entryOf(entry), lease: textOf(lease), record: recordOf(record) };
}

function pageOf<Each>(given: unknown, eachOf: (each: unknown) => Each) {
  const [next, page] = listOf(given, 2);
  return [textOf(next), listOf(page).map(eachOf)] as const;
}

function summaryOf(given: unknown): Omit<store.Summary, 'evicts'> {
  const lists = listOf(given, 5);
  const [groups = [], soonest = [], dropped = [], lost = []] = lists.slice(0, 4).map((part) => listOf(part));
  return {
    groups: groups.map(groupOf),
    soonest: soonest.map(entryOf),
    dropped: dropped.map(textOf).map((each) => {
      return { id: store.leasedId(each), note: readNote(each.slice(store.ID_LENGTH + 1)) };
    }),
    losses: lost.map(lossOf).reverse(),
    lostLately: numberOf(lists[4]),
    aside: [],
  };
}

/** Text that is no loss is shown as one of which nothing is known. */
function lossOf(given: unknown): store.Loss {
  const { 0: at, 1: id, 2: note, 3: why, 4: events } = parsedJson(textOf(given));
  return {
    at: Number(at) || 0,
    id: `${id ?? ''}`,
    note: readNote(`${note ?? ''}`),
    why: `${why ?? ''}`,
    events: typeof events === 'number' ? events : null,
  };
}

function groupOf(given: unknown): store.Group {
  const [group, deliveries, bytes, oldest] = listOf(given, 4);
  const [state, words = ''] = textOf(group).split('\n');
  const sums = { deliveries: numberOf(deliveries), bytes: numberOf(bytes), oldest: numberOf(oldest) };
  return { state: stateOf(state), ...readWords(words), ...sums };
}

function entryOf(given: unknown): store.Entry {
  const [id, bytes, state, note, wait, asked, leased] = listOf(given, 7);
  const words = { state: stateOf(textOf(state)), note: readNote(textOf(note)), asked: textOf(asked) !== '' };
  return { ...words, leased: textOf(leased) !== '', id: textOf(id), bytes: numberOf(bytes), wait: numberOf(wait) };
}

const stateOf = (state: unknown) => DEFERRED_STATES.find((each) => each === state) ?? 'waiting';
const bytesOf = (given: unknown) => (given instanceof Buffer ? (given as Buffer<ArrayBuffer>) : noSense());
const recordOf = (given: unknown) => (given === null ? null : bytesOf(given));
const textOf = (given: unknown) => bytesOf(given).toString();
const addedOf = (given: unknown) => (typeof given === 'number' ? given : textOf(given));
const numberOf = (given: unknown) => (typeof given === 'number' ? given : noSense());
const listOf = (given: unknown, length?: number): readonly unknown[] =>
  Array.isArray(given) && given.length === (length ?? given.length) ? given : noSense();
