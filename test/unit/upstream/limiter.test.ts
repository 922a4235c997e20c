// The slots by themselves: which request gets one, which waits, which loses its slot. Whole requests are in
// test/integration.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type SlotUser, UpstreamLimiter } from '../../../src/upstream/limiter.ts';

class Fake implements SlotUser {
  place = -1;
  readonly events: string[] = [];
  readonly kind: SlotUser['kind'];
  startedAt = performance.now();
  readonly patience: number;
  readonly #slots: UpstreamLimiter;
  moves = true;
  #since = 0;

  constructor(slots: UpstreamLimiter, kind: SlotUser['kind'] = 'verified', patience = 1000) {
    this.#slots = slots;
    this.patience = patience;
    this.kind = kind;
  }

  acquired(): void {
    this.events.push('granted');
    this.#since = performance.now();
  }

  stalledFor(now: number): number {
    return this.moves ? 0 : now - this.#since;
  }

  giveUp(): void {}

  evict(): void {
    this.events.push(this.#slots.down ? 'evicted, down' : 'evicted');
    this.#slots.release(this);
  }
}

/** So many milliseconds pass, and what their end has begun is done. */
async function pass(milliseconds: number): Promise<void> {
  vi.advanceTimersByTime(milliseconds);
  await nextTurn();
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
});

function make(
  count: number,
  { patience, ...limits }: { slots: number; queue: number; patience?: number } = { slots: 2, queue: 3 },
): { slots: UpstreamLimiter; waiters: Fake[]; at: (index: number) => Fake } {
  const slots = new UpstreamLimiter(limits);
  const waiters = Array.from({ length: count }, () => new Fake(slots, 'verified', patience));
  const at = (index: number): Fake => {
    const one = waiters[index];
    if (one === undefined) throw new Error(`there is no waiter ${index}`);
    return one;
  };
  return { slots, waiters, at };
}

/** Claims a slot as a forward does: at once, or in the queue. */
function claim(slots: UpstreamLimiter, one: Fake): boolean {
  one.startedAt = performance.now();
  if (!slots.tryAcquire(one)) return slots.wait(one);
  one.acquired();
  return true;
}

describe('a deferred request', () => {
  test('waits behind all others, whenever they came, and gets what is free', () => {
    const { slots, at } = make(2, { slots: 1, queue: 5 });
    const deferred = new Fake(slots, 'resent');
    claim(slots, at(0));
    claim(slots, deferred);
    const unverified = new Fake(slots, 'unverified');
    claim(slots, unverified);
    claim(slots, at(1));
    slots.release(at(0));
    expect([at(1), unverified, deferred].map(({ events }) => events.length)).toEqual([1, 0, 0]);
    slots.release(at(1));
    slots.release(unverified);
    expect(deferred.events).toEqual(['granted']);
  });

  test('does not take a free slot before another that waits, and makes nobody else wait in a queue', () => {
    const { slots, at } = make(1, { slots: 4, queue: 5 });
    const [first, second] = [new Fake(slots, 'resent'), new Fake(slots, 'resent')];
    slots.down = true;
    claim(slots, first);
    expect(slots.clientsWaiting).toBe(0);
    slots.down = false;
    expect(slots.tryAcquire(second)).toBe(false);
    expect(slots.tryAcquire(at(0))).toBe(true);
  });
});

describe('the queue', () => {
  test('is served in order as slots come back', () => {
    const { slots, waiters, at } = make(5);
    expect(waiters.map((one) => claim(slots, one))).toEqual([true, true, true, true, true]);
    expect(slots.clientsWaiting).toBe(3);
    slots.release(at(0));
    slots.release(at(1));
    expect(waiters.map(({ events }) => events.length)).toEqual([1, 1, 1, 1, 0]);
  });

  test('is not overtaken by a new request, even when a slot is free', () => {
    const { slots, at } = make(2, { slots: 1, queue: 5 });
    slots.down = true;
    claim(slots, at(0));
    slots.resume();
    expect(at(0).events).toEqual(['granted']);
    expect(slots.tryAcquire(at(1))).toBe(false);
  });

  test('drops requests that have waited too long, and those that leave', async () => {
    const { slots, waiters, at } = make(4, { slots: 2, queue: 3, patience: 500 });
    for (const one of waiters) claim(slots, one);
    slots.release(at(2));
    await pass(600);
    expect(at(2).events).toEqual([]);
    expect(at(3).events).toEqual(['evicted']);
    expect(slots.clientsWaiting).toBe(0);
    slots.release(at(0));
    slots.release(at(0)); // the second call has no effect
    expect(slots.tryAcquire(at(2))).toBe(true);
    expect(slots.tryAcquire(at(3))).toBe(false);
  });

  test('counts the wait from the start of a request, however often it waits', async () => {
    const { slots, at } = make(1);
    slots.down = true;
    claim(slots, at(0));
    await pass(600);
    slots.release(at(0));
    slots.wait(at(0));
    await pass(399);
    expect(at(0).events).toEqual([]);
    await pass(1);
    expect(at(0).events).toEqual(['evicted, down']);
  });
});

describe('a request whose client is stuck', () => {
  test('keeps its slot while no other request waits', async () => {
    const { slots, at } = make(1, { slots: 1, queue: 5 });
    claim(slots, at(0));
    at(0).moves = false;
    await pass(60_000);
    expect(at(0).events).toEqual(['granted']);
  });

  test('gives its slot to a waiting one: longest stuck first, and no more than needed', async () => {
    const { slots, at } = make(3);
    claim(slots, at(0));
    await pass(5_000);
    claim(slots, at(1));
    at(0).moves = false;
    at(1).moves = false;
    await pass(5_000);
    claim(slots, at(2));
    await pass(200);
    expect([at(0).events, at(1).events, at(2).events]).toEqual([['granted', 'evicted'], ['granted'], ['granted']]);
  });

  test('gets a grace period first, which is shorter the more requests wait', async () => {
    const patienceWith = async (others: number): Promise<number> => {
      const { slots, waiters, at } = make(others + 1, { slots: 1, queue: 100, patience: 60_000 });
      for (const one of waiters) claim(slots, one);
      at(0).moves = false;
      const started = performance.now();
      while (at(0).events.length === 1) await pass(10);
      return performance.now() - started;
    };
    const [few, many] = [await patienceWith(1), await patienceWith(9)];
    expect(few).toBeGreaterThanOrEqual(500);
    expect(many).toBeLessThanOrEqual(200);
  });

  test('is left alone if its upstream is the slow side', async () => {
    const { slots, at } = make(2, { slots: 1, queue: 5, patience: 20_000 });
    claim(slots, at(0));
    claim(slots, at(1));
    await pass(20_000);
    expect([at(0).events, at(1).events]).toEqual([['granted'], ['evicted']]);
  });
});

describe('an unverified request', () => {
  const open = (slots: UpstreamLimiter, count: number) =>
    Array.from({ length: count }, () => new Fake(slots, 'unverified'));

  test.each([
    [1, 1],
    [2, 1],
    [4, 3],
    [8, 6],
  ])('of %i slots gets %i at most, and one that ends gives its own to the next', (all, share) => {
    const slots = new UpstreamLimiter({ slots: all, queue: 8 });
    const waiters = open(slots, all + 1);
    for (const one of waiters) claim(slots, one);
    const granted = () => waiters.filter(({ events }) => events.length > 0).length;
    expect(granted()).toBe(share);
    const verified = Array.from({ length: all - share }, () => new Fake(slots));
    for (const one of verified) claim(slots, one);
    expect(verified.map(({ events }) => events)).toEqual(verified.map(() => ['granted']));
    const [first] = waiters;
    if (first !== undefined) slots.release(first);
    expect(granted()).toBe(share + 1);
  });

  test('has its own queue: when full, it blocks no delivery', () => {
    const slots = new UpstreamLimiter({ slots: 1, queue: 2 });
    claim(slots, new Fake(slots));
    expect(open(slots, 3).map((one) => claim(slots, one))).toEqual([true, true, false]);
    expect(claim(slots, new Fake(slots))).toBe(true);
  });

  test('finds slots scarce once half of its share is taken', () => {
    const slots = new UpstreamLimiter({ slots: 8, queue: 5 });
    const waiters = open(slots, 3);
    const scarce = waiters.map((one) => {
      claim(slots, one);
      return slots.scarce;
    });
    expect(scarce).toEqual([false, false, true]);
  });
});

test('a reload changes how many requests may wait', () => {
  const { slots, waiters } = make(6);
  slots.queueLimit = 1;
  expect(waiters.map((one) => claim(slots, one))).toEqual([true, true, true, false, false, false]);
  slots.queueLimit = 4;
  expect(claim(slots, new Fake(slots))).toBe(true);
});
