// Redelivery with a store that fails at a chosen moment: a real directory, a real app, and one method in between.
import { mkdir, mkdtemp, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { admit, admitBody, arrivalOf } from '../../../src/core/admission.ts';
import { Keyring } from '../../../src/core/keyring.ts';
import type { Policy } from '../../../src/core/policy.ts';
import type { Deferrable } from '../../../src/redelivery/failure-edge.ts';
import { openStore } from '../../../src/redelivery/open-store.ts';
import { Redelivery } from '../../../src/redelivery/redelivery.ts';
import type { DeferredStore } from '../../../src/redelivery/store.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import { type App, startApp } from '../../support/redelivery/redelivery.ts';
import { head as headOf, secret, table, verify } from '../core/fixtures.ts';

const VALUE = 'redelivery-secret-0123456789abcdef';
const ROUTE = verify('/notify', { redeliver: 3_600_000 });

let directory: string;
let app: App;
let upstream: Upstream;
let redelivery: Redelivery;
let budget: ByteBudget;
let results: string[];

const policyOf = (...secrets: readonly (readonly [string, string])[]): Policy => ({
  settings: { bodyTimeout: 1, connections: 8, responseTimeout: 0, idleTimeout: 0, forwardedHeaders: 'none' },
  routes: table([ROUTE], 'reject'),
  keyring: new Keyring(secrets.map(([id, value]) => secret(id, value))),
  trusts: () => false,
});
let policy: Policy;

const mostBytes = () => budget.most;

/** `between` may replace methods of the store. */
function start(between: (store: DeferredStore) => Partial<DeferredStore>): void {
  redelivery = new Redelivery({
    policy: () => policy,
    ...{
      upstream,
      budget,
      name: '',
      maxHeader: () => 16_384,
      mostBytes,
      longestWindow: () => ROUTE.redeliver,
    },
    deliveries: () => {
      throw new Error('no route has once');
    },
    open: async (onChange) => {
      const options = {
        store: directory,
        name: '',
        passwordFile: null,
        readPassword: async () => '',
        maxBytes: 16 * 1_048_576,
      };
      const store = await openStore({ ...options, mostBytes, as: 'owner', onRemark: () => {} }, onChange);
      const methods = ['add', 'list', 'claim', 'release', 'remove', 'discard', 'read', 'drop', 'close'] as const;
      const bound = Object.fromEntries(methods.map((name) => [name, store[name].bind(store)]));
      return { ...bound, ...between(store) } as DeferredStore;
    },
    tell: () => {},
    onResult: (_route, result) => results.push(result),
  });
}

function delivery(text: string, { value = VALUE, age = 0 } = {}): Deferrable {
  const body = Buffer.from(text);
  const lines = ['Host', 'h', 'Entrupy-Signature', sign(value, body), 'Content-Length', `${body.length}`];
  const head = headOf({ lines });
  const arrival = arrivalOf(head, policy, Date.now());
  const early = admit(arrival);
  const admission = early.kind === 'read' ? admitBody(early, arrival, body) : early;
  if (!('permit' in admission)) throw new Error('refused');
  return { head, lines, body, route: ROUTE, permit: admission.permit, at: arrival.at - age, policy };
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'entrupy-redelivery-'));
  app = await startApp();
  policy = policyOf(['current', VALUE]);
  results = [];
  budget = new ByteBudget(1_048_576);
  const times = { connectTimeout: 1000, retryConnectFor: 100, keepAlive: 1000 };
  upstream = new Upstream({ url: app.url, connections: 32, queue: 32, tls: null, ...times });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await redelivery.close();
  upstream.close();
  await app.close();
  await rm(directory, { recursive: true });
});

test('what the app took is not sent again while its removal fails', async () => {
  let failures = 2;
  start((store) => ({
    remove: async (claim) => {
      if (failures-- > 0) throw new Error('not now');
      return store.remove(claim);
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(app.requests).toHaveLength(1);
  expect(results).toEqual(['delivered']);
  expect(budget.used).toBe(0);
  expect(redelivery.failures).toBe(2);
});

test('a client waits for a store that hangs no longer than a second, and what is stored late is sent', async () => {
  const hung = Promise.withResolvers<void>();
  start((store) => ({
    add: async (...given) => {
      await hung.promise;
      return store.add(...given);
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('passes');
  expect(redelivery.failures).toBe(1);
  hung.resolve();
  await eventually(() => app.bodies(), ['event']);
});

test('a store that hangs holds a quarter of the budget at most, from the first, and the budget counts it', async () => {
  const hung = Promise.withResolvers<void>();
  let calls = 0;
  start((store) => ({
    add: async (...given) => {
      calls++;
      await hung.promise;
      return store.add(...given);
    },
  }));
  const large = ['a', 'b', 'c', 'd'].map((each) => each.repeat(budget.limit / 8));
  const told = await Promise.all(large.map((each) => redelivery.defer(delivery(each), '500')));
  expect(told).toEqual(Array(4).fill('passes'));
  expect([calls, redelivery.failures, budget.used]).toEqual([2, 4, budget.limit / 4]);
  expect(await redelivery.defer(delivery('small'), '500')).toBe('passes');
  expect([calls, redelivery.failures, budget.used]).toEqual([2, 5, budget.limit / 4]);
  hung.resolve();
  await eventually(() => app.bodies().sort(), large.slice(0, 2));
  expect(await redelivery.defer(delivery('small'), '500')).toBe('stored');
  await eventually(() => budget.used, 0);
});

test('what the app refused is not sent again while the store cannot write that', async () => {
  let failures = 0;
  const written: boolean[] = [];
  start((store) => ({
    release: async (id, progress) => {
      if (progress !== null && failures++ < 2) {
        await store.release(id, null);
        throw new Error('the disk is full');
      }
      await store.release(id, progress);
      written.push(progress !== null);
    },
  }));
  app.answer = () => 404;
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => failures, 2);
  await eventually(() => written, [true]);
  expect(app.requests).toHaveLength(1);
  expect(failures).toBe(3);
  expect([...redelivery.list()]).toMatchObject([{ state: 'stopped', attempts: 1, failure: '404', unwritten: null }]);
  expect(results).toEqual(['client_error']);
}, 60_000);

test('a clock that goes back stops nothing that failed before', async () => {
  start(() => ({}));
  app.answer = () => 500;
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => [...redelivery.list()].map(({ attempts }) => attempts), [1]);
  const now = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => now() - 1_800_000);
  app.answer = () => 200;
  expect(await redelivery.defer(delivery('later'), '500')).toBe('stored');
  await eventually(() => results, ['delivered']);
  await eventually(() => results, ['delivered', 'delivered']);
}, 90_000);

test('a clock that went back stops nothing that was not tried before', async () => {
  start(() => ({}));
  const early = { ...delivery('event'), at: Date.now() + 1_800_000 };
  expect(await redelivery.defer(early, '500')).toBe('stored');
  await eventually(() => results, ['delivered']);
});

test('bodies at work stay within a quarter of the budget, and wait while fresh ones need it all', async () => {
  start(() => ({}));
  const texts = Array.from({ length: 9 }, (_, at) => `${at}`.padEnd(100_000));
  const used: number[] = [];
  app.answer = () => (_request, response) => {
    used.push(budget.used);
    setTimeout(() => response.end('ok'), 20);
  };
  const fresh = budget.limit / 2;
  budget.reserveSpare(fresh);
  budget.limit = fresh + 4096;
  for (const text of texts) expect(await redelivery.defer(delivery(text), '500')).toBe('stored');
  expect(redelivery.deliverNow(null)).toBe(texts.length);
  expect(budget.used).toBe(fresh);
  budget.limit = 1_048_576;
  budget.release(fresh);
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(new Set(app.bodies())).toEqual(new Set(texts));
  expect(Math.max(...used)).toBeLessThanOrEqual(budget.limit / 4);
  expect(budget.used).toBe(0);
});

test('what replaces an event at work is sent on its own, once that is over, whatever becomes of the first', async () => {
  start(() => ({}));
  await redelivery.defer(delivery('the app works'), '500');
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  for (const status of [503, 200]) {
    const held: ServerResponse[] = [];
    app.answer = () => (_request, response) => held.push(response);
    const event = delivery(`its first sending ends in ${status}`);
    expect(await redelivery.defer(event, '500')).toBe('stored');
    await eventually(() => held.length, 1);
    expect(await redelivery.defer(event, '500')).toBe('stored');
    redelivery.deliverNow(null);
    // Were it begun beside the first, it would be under way by then.
    expect(await redelivery.defer(delivery(`beside ${status}`), '500')).toBe('stored');
    redelivery.deliverNow(null);
    await eventually(() => app.bodies().includes(`beside ${status}`), true);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(1);
    app.answer = () => 200;
    held[1]?.writeHead(200).end();
    held[0]?.writeHead(status).end();
    await eventually(() => redelivery.totals().waiting.deliveries + redelivery.totals().unverified.deliveries, 0);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(2);
  }
  expect(results).not.toContain('unverified');
});

/** Stores it, and waits until the app has failed to take it once more. */
async function deferAndFail(event: Deferrable): Promise<void> {
  app.answer = () => 500;
  expect(await redelivery.defer(event, '500')).toBe('stored');
  const tried = () => [...redelivery.list()].map(({ attempts, busy }) => attempts > 0 && !busy);
  await eventually(tried, [true]);
}

test('what was taken, and whose removal fails, does not stand for an equal event that comes', async () => {
  let fails = true;
  start((store) => ({
    remove: async (claim) => {
      if (fails) throw new Error('not now');
      return store.remove(claim);
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => redelivery.failures, 1);
  expect(app.requests).toHaveLength(1);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  fails = false;
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(app.requests).toHaveLength(2);
});

test('what a removed secret verified does not stand for an equal event that comes', async () => {
  const other = 'redelivery-secret-of-another-one';
  policy = policyOf(['current', VALUE], ['other', other]);
  start(() => ({}));
  await deferAndFail(delivery('event'));
  policy = policyOf(['other', other]);
  expect(await redelivery.defer(delivery('event', { value: other }), '500')).toBe('stored');
  app.answer = () => 200;
  redelivery.deliverNow(null);
  await eventually(() => results, ['delivered']);
});

test('what has spent much of its window does not stand for an equal event that comes', async () => {
  start(() => ({}));
  await deferAndFail(delivery('event', { age: 3_000_000 }));
  const fresh = delivery('event');
  expect(await redelivery.defer(fresh, '500')).toBe('stored');
  expect([...redelivery.list()].map(({ at }) => at)).toEqual([fresh.at]);
  // That one has all of its own before it.
  await eventually(() => [...redelivery.list()].map(({ attempts, busy }) => attempts > 0 && !busy), [true]);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  expect([...redelivery.list()].map(({ at }) => at)).toEqual([fresh.at]);
  expect(budget.used).toBe(0);
});

test('one that is over the limits is told, takes no memory, and holds up nothing', async () => {
  const file = join(directory, 'deferred', `${'0'.repeat(16)}-${'0'.repeat(32)}`);
  await mkdir(join(directory, 'deferred'), { mode: 0o700 });
  await writeFile(file, '', { mode: 0o600 });
  await truncate(file, 8 * budget.limit);
  const before = Date.now() / 1000 - 100;
  await utimes(file, before, before);
  start(() => ({}));
  await eventually(() => redelivery.totals().unverified.deliveries, 1);
  expect(results).toEqual(['unverified']);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => app.bodies(), ['event']);
});

test('what the budget can never hold is not promised', async () => {
  start(() => ({}));
  expect(await redelivery.defer(delivery('x'.repeat(budget.most)), '500')).toBe('passes');
  expect(redelivery.failures).toBe(1);
  expect([...redelivery.list()]).toEqual([]);
});

test('what can not be read goes when its window is over, by the time of its file', async () => {
  const [old = '', young = ''] = ['a', 'b'].map((each) => `${each.repeat(16)}-${each.repeat(32)}`);
  await mkdir(join(directory, 'deferred'), { mode: 0o700 });
  for (const id of [old, young]) await writeFile(join(directory, 'deferred', id), 'unfit');
  const before = Date.now() / 1000 - 3 * 3600;
  await utimes(join(directory, 'deferred', old), before, before);
  start(() => ({}));
  await eventually(() => redelivery.totals().unverified.deliveries, 1);
  await eventually(() => results.toSorted(), ['expired', 'unverified', 'unverified']);
  expect((await readdir(join(directory, 'deferred'))).sort()).toEqual([young, 'lock']);
});

test('a large one that finds no memory waits, and a small one behind it is sent', async () => {
  start(() => ({}));
  const large = 'large'.padEnd(300_000);
  budget.reserveSpare(700_000);
  expect(await redelivery.defer(delivery(large), '500')).toBe('stored');
  expect(await redelivery.defer(delivery('small'), '500')).toBe('stored');
  await eventually(() => app.bodies(), ['small']);
  budget.release(700_000);
  await eventually(() => app.bodies(), ['small', large]);
  await eventually(() => budget.used, 0);
});
