// The judge is held to the truth of worlds (test/support/health): a few in `npm test`, thousands in `npm run fuzz:gate`.
// HEALTH_WORLDS: how many; HEALTH_SEED: others. Rare ones that a rule is for are drawn more often (RARE). Each rule was
// broken once: the message of the commit that wrote this line lists what fails without it, a world or a test.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { isWrong, judge } from '../../../src/health/judge.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import { failuresIn, type Subject } from '../../support/health/run-world.ts';
import { worlds } from '../../support/health/worlds.ts';
import { accepted, DEFERRED, factsOf, refused } from '../fixtures.ts';

const RUNS = Number(process.env.HEALTH_WORLDS ?? 25);
const SEED = Number(process.env.HEALTH_SEED ?? 20_261_201);

/** The second ledger is judged as in a process that nobody asks: now and then, and while it has an episode. */
function createProcess(): Subject {
  const [ledger, seldom] = [new Ledger(), new Ledger()];
  let looks = 0;
  const both = (tell: (one: Ledger) => void) => [ledger, seldom].forEach(tell);
  return {
    record: (record, now) => both((one) => one.record(record, now)),
    deliver: (record, now) => both((one) => one.deliver(record, now)),
    sentAgain: (sending, now) => both((one) => one.sentAgain(sending, now)),
    turnAway: (address, now, hint) => both((one) => one.turnAway(address, now, hint)),
    keepOnly: (routes, now) => both((one) => one.keepOnly(routes, now)),
    look: (facts, now) => {
      const { advice } = judge({ ledger, facts, now });
      if (++looks % 15 === 0 || seldom.hasEpisode(now))
        expect(judge({ ledger: seldom, facts, now }).advice).toEqual(advice);
      return advice;
    },
  };
}

test('in every world the judge says what is true', { timeout: 600_000 }, () => {
  fc.assert(
    fc.property(worlds, (world) => {
      expect(failuresIn(world, createProcess)).toEqual([]);
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

/** What comes of an event, again and again; `gone`: the store has nothing of the route any more. */
const STEPS = {
  failed: { status: 500, upstreamStatus: 500 },
  refused: { status: 404, upstreamStatus: 404 },
  'sender left': { status: 499, upstreamStatus: 0, reason: 'client_closed' },
  'refused here': refused(),
  deferred: { status: 202, upstreamStatus: 503, fate: 'deferred' },
  taken: {},
  duplicate: { fate: 'duplicate', upstreamStatus: 0 },
  'sent in vain': 'failed',
  delivered: 'taken',
  'sent twice': 'duplicate',
  gone: null,
  restart: null,
} as const;
type Step = { readonly kind: keyof typeof STEPS; readonly event: number; readonly pause: number };

/** Else the app that fails after a restart what was stored before it would come too seldom. */
const OFTEN = ['deferred', 'deferred', 'sent in vain', 'sent in vain', 'sent in vain', 'restart'] as const;

const aStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...OFTEN, ...(Object.keys(STEPS) as Step['kind'][])),
  event: fc.nat(2),
  pause: fc.constantFrom(0, 1, 5, 11, 70),
});

const nameOf = (event: number) => `SHA256:e${event}`;

class OneRoute {
  #ledger = new Ledger();
  /** What became of each event, as far as the process knows; and what is in the store. */
  readonly #untaken = new Map<number, 'lost' | 'waits'>();
  /** When each that waits came, or last failed while the app took none; and when that took one. */
  readonly #failed = new Map<number, number>();
  #lastGood = 0;
  #stored = new Set<number>();
  #now = 1e6;
  #lastBad = Number.NEGATIVE_INFINITY;
  /** Bad ones in a row, the last of them, and when the second came. */
  #run = 0;
  #last = 0;
  #second = 0;
  #wasRefusedHere = false;

  constructor() {
    this.#begin();
  }

  #begin(): void {
    this.#ledger = new Ledger();
    this.#ledger.deliver({ ...accepted(), fate: 'taken' }, this.#now);
    this.#untaken.clear();
    this.#lastGood = this.#now;
    this.#run = 0;
  }

  take({ kind, event, pause }: Step): void {
    const how = STEPS[kind];
    if (kind === 'restart') this.#begin();
    else if (how === null) this.#empty();
    else if (how === 'taken' || how === 'failed' || how === 'duplicate') this.#send(event, how);
    else this.#come(event, accepted({ ...how, event: nameOf(event), startedAt: this.#now }));
    if (!this.#untaken.has(this.#last)) this.#run = 0;
    this.#now += pause * 1000;
  }

  #empty(): void {
    for (const [one, fate] of this.#untaken) if (fate === 'waits') this.#untaken.delete(one);
    this.#stored.clear();
  }

  #send(event: number, fate: 'taken' | 'failed' | 'duplicate'): void {
    if (!this.#stored.has(event)) return;
    this.#ledger.sentAgain({ route: '/notify', event: nameOf(event), fate }, this.#now);
    if (fate === 'failed') return this.#bad(event, 'waits');
    if (fate === 'taken') this.#end(event);
    else if (this.#stored.delete(event)) this.#untaken.delete(event);
  }

  #come(event: number, record: RequestRecord): void {
    const { fate } = record;
    if (fate !== 'none' && fate !== 'pending') this.#ledger.deliver({ ...record, fate }, this.#now);
    this.#ledger.record(record, this.#now);
    if (fate === 'taken') this.#end(event);
    else if (fate === 'duplicate') this.#untaken.delete(event);
    else this.#bad(event, fate === 'deferred' ? 'waits' : 'lost', fate === 'none');
  }

  #end(event: number): void {
    this.#lastGood = this.#now;
    this.#untaken.delete(event);
    this.#stored.delete(event);
    this.#run = 0;
  }

  #bad(event: number, fate: 'lost' | 'waits', isRefusedHere = false): void {
    const isOld =
      fate === 'waits' && this.#untaken.get(event) === fate && (this.#failed.get(event) ?? 0) < this.#lastGood;
    // Once the app took others, it speaks for itself alone; but where the last one was refused here, it passed.
    if (isOld && this.#wasRefusedHere) this.#run = 0;
    if (isOld) return;
    this.#wasRefusedHere = isRefusedHere;
    this.#failed.set(event, this.#now);
    this.#untaken.set(event, fate);
    if (fate === 'waits') this.#stored.add(event);
    this.#lastBad = this.#now;
    this.#last = event;
    if (++this.#run === 2) this.#second = this.#now;
  }

  get #lost(): number {
    return [...this.#untaken.values()].filter((fate) => fate === 'lost').length;
  }

  /** What is said that is not true. */
  check(): void {
    const routes = this.#stored.size > 0 ? ['/notify'] : [];
    const facts = factsOf({ deferred: { ...DEFERRED, deliveries: [], waiting: this.#stored.size, routes } });
    const { advice } = judge({ ledger: this.#ledger, facts, now: this.#now });
    expect(this.#ledger.of('/notify').lost(this.#now)).toBe(this.#lost);
    const told = advice.flatMap((one) => [one, ...one.follows]).find(({ id }) => id === 'deliveries-lost');
    expect(Number(/^(\d+) deliver/.exec(told?.message ?? '0 deliver')?.[1])).toBe(this.#lost);
    const isFailed = advice[0]?.state === 'failed';
    if (this.#run >= 2 && this.#now - this.#second > 10_000) expect(isFailed).toBe(true);
    if (this.#untaken.size > 0 || this.#stored.size > 0 || this.#now - this.#lastBad < 60_000) return;
    expect(advice.filter(isWrong)).toEqual([]);
  }
}

test('an event that comes several times counts once, and is lost or waits until it is taken, whoever took it', () => {
  fc.assert(
    fc.property(fc.array(aStep, { maxLength: 30 }), (steps) => {
      const route = new OneRoute();
      for (const step of steps) {
        route.take(step);
        route.check();
      }
    }),
    { numRuns: RUNS * 5, seed: SEED },
  );
});
