// Which request delivers, which wait and which are duplicates, whatever the store does; the test controls the store.
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { DeliveryLease } from '../../../src/core/record.ts';
import { Deliveries, type Turn } from '../../../src/once/deliveries.ts';
import { createMemoryStore, EventMemory } from '../../../src/once/memory.ts';
import type { Claim, OnceStore, OnTrouble } from '../../../src/once/store.ts';

type Options = Partial<OnceStore> & {
  readonly onStoreFailure?: 'forward' | 'refuse';
  readonly opened?: Promise<OnceStore>;
};

function deliveries({ onStoreFailure = 'forward', opened, ...over }: Options = {}) {
  const memory = createMemoryStore(new EventMemory(100, () => performance.now()));
  const troubles: (string | null)[] = [];
  const told = { failures: 0, closed: 0 };
  const store: OnceStore = { ...memory, ...over, close: () => void told.closed++ };
  let trouble: OnTrouble = () => {};
  const all = new Deliveries({
    open: (onTrouble) => {
      trouble = onTrouble;
      return opened ?? Promise.resolve(store);
    },
    onStoreFailure,
    onFailure: () => void told.failures++,
    onTrouble: (trouble) => void troubles.push(trouble),
  });
  const turn = (options: { patience?: number; client?: AbortSignal } = {}) => {
    const { patience = 5_000, client = new AbortController().signal } = options;
    return all.turn({ path: '/n', body: Buffer.from('e'), window: 60_000, patience, client });
  };
  return { all, trouble, troubles, told, turn };
}

function leaseOf(turn: Turn): DeliveryLease {
  if (turn.kind !== 'deliver') throw new Error(`it is ${turn.kind}`);
  return turn.lease;
}

const away = () => Promise.reject(new Error('the store is away'));
const busy: Claim = { kind: 'busy' };

describe('a lease', () => {
  test('counts the first outcome only', async () => {
    const { turn } = deliveries();
    const first = leaseOf(await turn());
    first.failed();
    first.delivered();
    const second = leaseOf(await turn());
    second.delivered();
    second.failed();
    expect(await turn()).toEqual({ kind: 'duplicate' });
  });

  test('one at a time, whichever request asks and however it ends', async () => {
    const { turn } = deliveries();
    let open = 0;
    let most = 0;
    const ask = async (nth: number) => {
      const mine = await turn();
      if (mine.kind !== 'deliver') return mine.kind;
      most = Math.max(most, ++open);
      await turnOfTheLoop();
      open--;
      if (nth < 5) mine.lease.failed();
      else mine.lease.delivered();
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
    const { turn } = deliveries();
    const lease = leaseOf(await turn());
    expect(await turn({ patience: 20 })).toEqual({ kind: 'refuse' });
    lease.failed();
    expect((await turn()).kind).toBe('deliver');
  });

  test('gives up its place when its client leaves, before or during the wait', async () => {
    const { turn } = deliveries();
    const lease = leaseOf(await turn());
    const client = new AbortController();
    const waiting = turn({ client: client.signal });
    client.abort();
    expect(await waiting).toEqual({ kind: 'left' });
    expect(await turn({ client: client.signal })).toEqual({ kind: 'left' });
    const others = Array.from({ length: 16 }, () => turn());
    lease.delivered();
    for (const other of others) expect(await other).toEqual({ kind: 'duplicate' });
  });

  test('at another proxy is polled until it ends', async () => {
    const claims: Claim[] = [busy, busy, { kind: 'delivered' }];
    const { turn } = deliveries({ claim: async () => claims.shift() ?? busy });
    expect(await turn()).toEqual({ kind: 'duplicate' });
    expect(await turn({ patience: 20 })).toEqual({ kind: 'refuse' });
    const client = new AbortController();
    const waiting = turn({ client: client.signal });
    await turnOfTheLoop();
    client.abort();
    expect(await waiting).toEqual({ kind: 'left' });
  });
});

describe('a burst of one event', () => {
  test('of any size waits for the store’s reply, and shares it', async () => {
    const { turn, told } = deliveries({ claim: async () => ({ kind: 'delivered' }) });
    const turns = await Promise.all(Array.from({ length: 100 }, () => turn()));
    expect(turns.every(({ kind }) => kind === 'duplicate')).toBe(true);
    expect(told.failures).toBe(0);
  });

  test('waits for a delivery with at most sixteen bodies, whenever they came', async () => {
    const { turn } = deliveries({ claim: async () => ({ kind: 'first', token: 't' }) });
    const early = Array.from({ length: 40 }, () => turn());
    const first = await early[0];
    const late = Array.from({ length: 10 }, () => turn());
    expect((await Promise.all(late)).map(({ kind }) => kind)).toEqual(Array(10).fill('refuse'));
    if (first?.kind === 'deliver') first.lease.delivered();
    const kinds = (await Promise.all(early)).map(({ kind }) => kind);
    const count = (wanted: string) => kinds.filter((kind) => kind === wanted).length;
    expect([count('deliver'), count('duplicate'), count('refuse')]).toEqual([1, 16, 23]);
  });

  test('also waits so for a delivery in another process', async () => {
    const { promise, resolve } = Promise.withResolvers<Claim>();
    const claims = [Promise.resolve(busy)];
    const { turn } = deliveries({ claim: () => claims.shift() ?? promise });
    const turns = Array.from({ length: 30 }, () => turn());
    expect(await Promise.race(turns)).toEqual({ kind: 'refuse' });
    expect(await turn()).toEqual({ kind: 'refuse' });
    resolve({ kind: 'delivered' });
    const kinds = (await Promise.all(turns)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'duplicate').length).toBe(17); // the one that polls, and sixteen behind it
  });
});

describe('a store that fails', () => {
  test.each(['forward', 'refuse'] as const)('%s', async (onStoreFailure) => {
    const { turn, told, troubles } = deliveries({ claim: away, commit: away, onStoreFailure });
    const first = await turn();
    expect(first.kind).toBe({ forward: 'deliver', refuse: 'refuse' }[onStoreFailure]);
    expect(told.failures).toBe(1);
    if (first.kind === 'deliver') first.lease.delivered();
    // A request that waited knows that it was delivered, whatever the store knows.
    expect((await turn()).kind).toBe({ forward: 'duplicate', refuse: 'refuse' }[onStoreFailure]);
    expect(told.failures).toBe(2);
    expect((await turn()).kind).toBe(first.kind);
    expect(troubles).toEqual(['the store is away']);
  });

  test('or cannot be opened', async () => {
    const { turn, all, told } = deliveries({ opened: away(), onStoreFailure: 'refuse' });
    expect(await turn()).toEqual({ kind: 'refuse' });
    expect([all.entries, told.failures]).toEqual([0, 1]);
    await all.close();
  });

  test('still lets requests for an event without a lease go one at a time, and learns of its delivery', async () => {
    const committed: (string | null)[] = [];
    const { turn } = deliveries({
      claim: away,
      release: away,
      commit: async (_key, token) => void committed.push(token),
    });
    const lease = leaseOf(await turn());
    const twin = turn();
    lease.failed(); // nothing to release: it was never claimed
    leaseOf(await twin).delivered();
    await turnOfTheLoop();
    expect(committed).toEqual([null]);
  });

  test('is reported when its state changes, and the problem stays visible', () => {
    const { all, trouble, troubles } = deliveries();
    for (const text of [null, 'one', 'two', null, null]) trouble(text);
    expect(troubles).toEqual(['one', null]);
    trouble('three');
    expect(all.trouble).toBe('three');
  });
});

describe('closing', () => {
  test('ends once nothing is in flight and the store has recorded everything', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { turn, all, told } = deliveries({ commit: () => promise });
    const lease = leaseOf(await turn());
    let over = false;
    const closed = all.close().then(() => {
      over = true;
    });
    lease.delivered();
    await turnOfTheLoop();
    expect([over, told.closed]).toEqual([false, 0]);
    resolve();
    await closed;
    expect(told.closed).toBe(1);
  });

  test('waits at most two seconds', async () => {
    const { turn, all, told } = deliveries();
    await turn();
    const before = performance.now();
    await all.close();
    expect(performance.now() - before).toBeGreaterThan(1_900);
    expect(told.closed).toBe(1);
  });
});
