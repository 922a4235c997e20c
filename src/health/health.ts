// Health: what the process knows of its deliveries, and its judgement. Status page, /api/status, `check`, log and metrics
// show one and the same object, made when they ask.
import { isUntaken } from '../core/fate-by-status.ts';
import type { DeliveryRecord, RequestRecord, SentAgain } from '../core/request-record.ts';
import type { Facts } from '../facts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { type Advice, judge } from './judge.ts';
import { Ledger } from './ledger.ts';
import { RecentRequests } from './recent-requests.ts';
import { LOST_ENDS, type LostEnd } from './route-ledger.ts';
import { epoch } from './sentences.ts';

export class Health {
  readonly ledger = new Ledger();
  readonly #recent = new RecentRequests();
  readonly #responseTimeout: () => number;
  /** When the app last answered a request, in milliseconds of the monotonic clock. */
  lastAnswer = Number.NEGATIVE_INFINITY;
  /** Set once the process runs. */
  facts: (() => Facts) | null = null;

  /** `responseTimeout`: milliseconds, as configured. */
  constructor(responseTimeout: () => number) {
    this.#responseTimeout = responseTimeout;
  }

  /** Called once for each request, at its end. Returns its diagnosis. */
  record(record: RequestRecord): Diagnosis | null {
    const now = performance.now();
    if (record.upstreamStatus > 0) this.lastAnswer = now;
    const diagnosis = this.ledger.record(record, now);
    this.#recent.record(record, diagnosis);
    return diagnosis;
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord): void {
    this.ledger.deliver(record, performance.now(), this.#responseTimeout());
    this.#recent.deliver(record);
  }

  /** Called when a stored delivery was sent again. */
  sentAgain(sending: SentAgain): void {
    this.ledger.sentAgain(sending);
    if (!isUntaken(sending.fate)) this.#recent.end(sending);
  }

  /** The advice of now, for the log and the metrics; empty before the process runs. */
  advice(): readonly Advice[] {
    if (this.facts === null) return [];
    return judge({ ledger: this.ledger, facts: this.facts(), now: performance.now() }).advice;
  }

  judge(facts: Facts, now = performance.now()) {
    const input = { ledger: this.ledger, facts, now };
    const time = (at: number) => (Number.isNaN(at) ? null : Math.round(epoch(input, at)));
    const routes = facts.routes.map((route) => {
      const { fates, lastGood } = this.ledger.of(route.path);
      return { ...route, traffic: { fates: { ...fates }, lastTaken: time(lastGood) } };
    });
    const lost = (end: LostEnd) => [...this.ledger.all].reduce((sum, [, one]) => sum + one.lost(now, end), 0);
    return {
      ...facts,
      routes,
      ...this.#recent.view(),
      /** How many deliveries of the last day may be lost, by how they ended. */
      lost: Object.fromEntries(LOST_ENDS.map((end) => [end, lost(end)])) as Record<LostEnd, number>,
      ...judge(input),
      /** Ids of secrets outside their dates that somebody signed with. */
      signedOutside: [...this.ledger.outside],
    };
  }
}

/** The answer of /api/status. */
export type ApiStatus = ReturnType<Health['judge']>;
