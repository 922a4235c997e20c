// What Prometheus scrapes of a world: two pods share its requests, each with a judge of its own. One of them may begin anew.
import type { DeliveryRecord } from '../../src/core/request-record.ts';
import { judge } from '../../src/health/judge.ts';
import { Ledger } from '../../src/health/ledger.ts';
import { type Happening, happeningsIn, type World } from '../support/health/worlds.ts';
import { factsOf, NOTIFY, NOW } from '../unit/fixtures.ts';
import { EVERY_S, type Scrapes, type Shown } from './agreement.ts';

const STEP_MS = EVERY_S * 1000;
const HOUR_MS = 3_600_000;
/** At most: a world may last for weeks. */
const WINDOW_MS = 4 * HOUR_MS;

class Pod {
  readonly name: string;
  /** Milliseconds of the world. */
  readonly startedAt: number;
  readonly #ledger = new Ledger();
  readonly #counters = new Map<string, number>();

  constructor(name: string, startedAt: number) {
    this.name = name;
    this.startedAt = startedAt;
  }

  take(happening: Happening): void {
    const { at } = happening;
    if (happening.kind === 'turned away') this.#ledger.turnAway(happening.address, at);
    if (happening.kind === 'sent again') {
      this.#ledger.sentAgain(happening.record, at);
      if (happening.record.fate === 'taken') this.#count('redelivered_total{route="/notify",result="delivered"}');
    }
    if (happening.kind !== 'request') return;
    const { fate } = happening.record;
    if (fate !== 'none' && fate !== 'pending') {
      this.#ledger.deliver({ ...happening.record, fate } satisfies DeliveryRecord, at);
      this.#count(`deliveries_total{route="/notify",fate="${fate}"}`);
    }
    this.#ledger.record(happening.record, at);
  }

  #count(series: string): void {
    this.#counters.set(series, (this.#counters.get(series) ?? 0) + 1);
  }

  show(world: World, at: number, step: number): Omit<Shown, 'pod' | 'startedAt'> {
    const routes = [{ ...NOTIFY, mode: world.report ? ('report' as const) : ('enforce' as const) }];
    const facts = factsOf({ now: NOW + at + step, startedAt: NOW + this.startedAt, routes, deferred: null });
    const { advice } = judge({ ledger: this.#ledger, facts, now: at });
    const wrong = advice.filter(({ state }) => state === 'failed' || state === 'warning');
    const diagnoses = wrong.map(({ id, state, route }) => ({ diagnosis: id, state, route: route ?? '' }));
    return { diagnoses, counters: { ...ZEROS, ...Object.fromEntries(this.#counters) } };
  }
}

/** Each series is there from the start. */
const ZEROS = Object.fromEntries([
  ...['taken', 'refused', 'failed', 'abandoned', 'deferred'].map((fate) => [
    `deliveries_total{route="/notify",fate="${fate}"}`,
    0,
  ]),
  ...['delivered', 'lost'].map((result) => [`redelivered_total{route="/notify",result="${result}"}`, 0]),
]);

/** The scrapes from an hour before the first fault on. */
export function scrapesOf(world: World): Scrapes {
  const happenings = happeningsIn({ ...world, reload: 'none' });
  const firstBad = happenings.find((one) => 'outcome' in one && one.outcome?.fault != null)?.at ?? 0;
  const begin = Math.max(0, firstBad - HOUR_MS);
  const end = Math.min(begin + WINDOW_MS, (happenings.at(-1)?.at ?? 0) + HOUR_MS / 2);
  let pods = ['a', 'b'].map((name) => new Pod(name, begin - 24 * HOUR_MS));
  let [step, next] = [0, 0];
  const scrapes: Shown[][] = [];
  const takeUntil = (at: number) => {
    for (let one = happenings[next]; one !== undefined && one.at <= at; one = happenings[++next]) {
      if (one.kind === 'clock step') step += one.by;
      // Of one container it is the same series, counted from 0 again; of a Deployment another pod.
      else if (one.kind === 'restart') pods = [new Pod(world.seed % 2 === 0 ? 'a' : 'c', one.at), ...pods.slice(1)];
      else pods[next % pods.length]?.take(one);
    }
  };
  for (let at = begin; at < end; at += STEP_MS) {
    takeUntil(at);
    const shown = pods.map((pod) => ({
      pod: pod.name,
      startedAt: (pod.startedAt - begin) / 1000,
      ...pod.show(world, at, step),
    }));
    scrapes.push(shown);
  }
  return scrapes;
}
