// Which request delivers, which ones wait and which ones are duplicates, whatever the store does. The tests control the
// store. Two deliveries are the same event if the path as sent and the body's bytes match; the key reveals neither.
import { setTimeout as sleep, setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { DeliveryClaim } from '../../../src/core/fate-by-status.ts';
import { type Claimed, Claims, eventKey } from '../../../src/once/claims.ts';
import { type ClaimAnswer, createMemoryStore, type OnceStore, type OnStoreChange } from '../../../src/once/store.ts';

type Options = Partial<OnceStore> & {
  readonly onStoreFailure?: 'forward' | 'refuse';
  /** How often the store cannot be opened. */
  readonly unopened?: number;
};

function deliveries({ onStoreFailure = 'forward', unopened = 0, ...over }: Options = {}) {
  const memory = createMemoryStore(100);
  const failures: (string | null)[] = [];
  const calls = { opened: 0, closed: 0 };
  const store: OnceStore = { ...memory, ...over, close: () => void calls.closed++ };
  let failure: OnStoreChange = () => {};
  const all = new Claims({
    open: (onChange) => {
      failure = onChange;
      return ++calls.opened > unopened ? Promise.resolve(store) : away();
    },
    onStoreFailure,
    onChange: (failure) => void failures.push(failure),
  });
  const admit = (options: { patience?: number; stop?: AbortSignal } = {}) => {
    const { patience = 5_000, stop = new AbortController().signal } = options;
    const until = performance.now() + patience;
    return all.claim({ head: { path: '/n' }, body: Buffer.from('e'), window: 60_000, until, stop });
  };
  return { all, failure, failures, calls, admit };
}

const kindOf = ({ kind }: Claimed) => kind;

function claimOf(claimed: Claimed): DeliveryClaim {
  if (claimed.kind !== 'deliver') throw new Error(`it is ${claimed.kind}`);
  return claimed;
}

const away = () => Promise.reject(new Error('the store is away'));

test('a request without patience gets its answer at once, and Node has nothing to warn of', async () => {
  const warned: string[] = [];
  const onWarning = ({ name }: Error) => void warned.push(name);
  process.on('warning', onWarning);
  const { admit } = deliveries();
  claimOf(await admit());
  expect(kindOf(await admit({ patience: -1 }))).toBe('refuse');
  await turnOfTheLoop();
  process.off('warning', onWarning);
  expect(warned).toEqual([]);
});

describe('a claim', () => {
  test('counts the first outcome only', async () => {
    const { admit } = deliveries();
    const first = claimOf(await admit());
    first.failed();
    first.delivered();
    const second = claimOf(await admit());
    second.delivered();
    second.failed();
    expect(await admit()).toEqual({ kind: 'duplicate' });
  });

  test('one at a time, whichever request asks and however it ends', async () => {
    const { admit } = deliveries();
    let open = 0;
    let most = 0;
    const ask = async (nth: number) => {
      const mine = await admit();
      if (mine.kind !== 'deliver') return mine.kind;
      most = Math.max(most, ++open);
      await turnOfTheLoop();
      open--;
      if (nth < 5) mine.failed();
      else mine.delivered();
      return 'deliver';
    };
    const kinds = await Promise.all(Array.from({ length: 17 }, (_, nth) => ask(nth)));
    expect(most).toBe(1);
    expect(kinds.filter((kind) => kind === 'deliver').length).toBe(6);
    expect(kinds.filter((kind) => kind === 'duplicate').length).toBe(11);
  });
});

describe('a twin', () => {
  test('waits no longer than its patience', async () => {
    const { admit } = deliveries();
    const claim = claimOf(await admit());
    expect(await admit({ patience: 20 })).toEqual({ kind: 'refuse', full: 'twins' });
    claim.failed();
    expect(kindOf(await admit())).toBe('deliver');
  });

  test('gives up its place if its wait is ended, before or during it', async () => {
    const { admit } = deliveries();
    const claim = claimOf(await admit());
    const stopping = new AbortController();
    const waiting = admit({ stop: stopping.signal });
    stopping.abort();
    expect(await waiting).toEqual({ kind: 'stopped' });
    expect(await admit({ stop: stopping.signal })).toEqual({ kind: 'stopped' });
    const others = Array.from({ length: 16 }, () => admit());
    claim.delivered();
    for (const other of others) expect(await other).toEqual({ kind: 'duplicate' });
  });

  test('at another proxy is polled until it ends', async () => {
    const claims: ClaimAnswer[] = ['busy', 'busy', 'delivered'];
    const { admit } = deliveries({ claim: async () => claims.shift() ?? 'busy' });
    expect(await admit()).toEqual({ kind: 'duplicate' });
    expect(await admit({ patience: 20 })).toMatchObject({ kind: 'refuse' });
    const stopping = new AbortController();
    const waiting = admit({ stop: stopping.signal });
    await turnOfTheLoop();
    stopping.abort();
    expect(await waiting).toEqual({ kind: 'stopped' });
  });
});

describe('a burst of one event', () => {
  test('of any size waits for the store’s reply, and shares it', async () => {
    const { all, admit } = deliveries({ claim: async () => 'delivered' as const });
    const admissions = await Promise.all(Array.from({ length: 100 }, () => admit()));
    expect(admissions.every(({ kind }) => kind === 'duplicate')).toBe(true);
    expect(all.failures).toBe(0);
  });

  test('waits in the same way for a delivery in another process', async () => {
    const { promise, resolve } = Promise.withResolvers<ClaimAnswer>();
    const claims: Promise<ClaimAnswer>[] = [Promise.resolve('busy')];
    const { admit } = deliveries({ claim: () => claims.shift() ?? promise });
    const admissions = Array.from({ length: 30 }, () => admit());
    expect(await Promise.race(admissions)).toMatchObject({ kind: 'refuse' });
    expect(await admit()).toMatchObject({ kind: 'refuse' });
    resolve('delivered');
    const kinds = (await Promise.all(admissions)).map(kindOf);
    expect(kinds.filter((kind) => kind === 'duplicate').length).toBe(17); // the one that polls, and sixteen behind it
  });
});

test('a store that fails still lets requests for an event without a claim go one at a time, and learns of its delivery', async () => {
  const committed: string[] = [];
  const { all, admit } = deliveries({
    claim: away,
    release: away,
    commit: async (key) => void committed.push(key),
  });
  const claim = claimOf(await admit());
  const twin = admit();
  claim.failed();
  claimOf(await twin).delivered();
  await turnOfTheLoop();
  expect(committed).toEqual([eventKey('/n', Buffer.from('e'))]);
  expect(all.unclaimed?.count).toBe(2);
});

describe('closing', () => {
  test('ends once nothing is in flight and the store has recorded everything', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { admit, all, calls } = deliveries({ commit: () => promise });
    const claim = claimOf(await admit());
    let over = false;
    const closed = all.close().then(() => {
      over = true;
    });
    claim.delivered();
    await turnOfTheLoop();
    expect([over, calls.closed]).toEqual([false, 0]);
    resolve();
    await closed;
    expect(calls.closed).toBe(1);
  });

  test('waits at most two seconds', async () => {
    const { admit, all, calls } = deliveries();
    await admit();
    const order: string[] = [];
    const second = sleep(1000).then(() => order.push('a second'));
    await all.close().then(() => order.push('closed'));
    await second;
    expect(order).toEqual(['a second', 'closed']);
    expect(calls.closed).toBe(1);
  });
});

test('the same path and body give the same key, everything else another', () => {
  const events = [
    ['/notify', 'body'],
    ['/notify/', 'body'],
    ['/Notify', 'body'],
    ['/%6eotify', 'body'],
    ['/notify', 'body '],
    ['/notify', ''],
    ['/notifyb', 'ody'],
    ['/notify', '\xff'],
    ['/notify', '\xfe'],
  ] as const;
  const keys = events.map(([path, body]) => eventKey(path, Buffer.from(body, 'latin1')));
  expect(new Set(keys).size).toBe(events.length);
  expect(events.map(([path, body]) => eventKey(path, Buffer.from(body, 'latin1')))).toEqual(keys);
  for (const key of keys) expect(key).toMatch(/^[\w-]{43}$/);
});
