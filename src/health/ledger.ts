// The ledger: what became of what. It tells deliveries from strangers' requests, and keeps the outcomes of each. The
// memory is constant under any flood, and nothing is allocated for a request but where a diagnosis comes for the first
// time. Times are milliseconds of the monotonic clock.

import { FATES, type Fate, type RedeliveryRecord } from '../core/fate.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { Counts } from './counts.ts';
import { type Detail, LastDetail } from './detail.ts';
import { copied, isProven, isSigned, type Looks, Senders } from './senders.ts';
import { type Loss, type OutcomeDiagnosis, Series } from './series.ts';
import { Tallies, Tally } from './tally.ts';
import { MINUTE } from './times.ts';

/** The refusals before the first acceptance that are judged again once a look is known. */
const EARLY = 16;

/** Facts about one route since the start. */
export class RouteLedger {
  readonly series = new Series();
  readonly fates = Object.fromEntries(FATES.map((fate) => [fate, 0])) as Record<Fate, number>;
  /** Of deliveries that took long, or whose sender left first, by minute. */
  readonly slow = new Counts(1, 15, MINUTE);
  /** Milliseconds that the last slow answer took, and that the last sender to leave had waited; -1 if there is none. */
  slowMs = -1;
  departedMs = -1;
  /** Requests with a signature that were forwarded without a look at it; `deliveries`: POSTs that look like Entrupy's. */
  readonly unverified = new Tally();
  unverifiedDeliveries = 0;
  /** Requests that report mode let pass. */
  readonly reported = new Tallies<OutcomeDiagnosis>();
}

/** A refusal that came before the first acceptance. */
interface Early {
  readonly diagnosis: OutcomeDiagnosis;
  readonly looks: Looks;
  readonly detail: Detail;
  readonly at: number;
}

class EarlyRefusals {
  readonly tally = new Tally();
  readonly kept: Early[] = [];

  add(early: Early): void {
    this.tally.add(early.detail, early.at);
    if (this.kept.length === EARLY) this.kept.shift();
    this.kept.push(early);
  }
}

export class Ledger {
  readonly senders = new Senders();
  readonly #routes = new Map<string, RouteLedger>();
  /** By the id of the secret outside its dates that signed, so that no leak is hidden; ids are the configuration's. */
  readonly outside = new Tallies<string>();
  /** Refusals before the first acceptance: with a signature, and POSTs without one on routes that verify. */
  readonly early = { signed: new EarlyRefusals(), unsigned: new EarlyRefusals() };
  /** Requests of strangers by diagnosis, so that no flood hides another one. */
  readonly strangers = new Tallies<OutcomeDiagnosis>();
  /** Requests from addresses of senders, with another look, since the last acceptance. */
  readonly suspects = new Tallies<OutcomeDiagnosis>();
  /** Connections turned away whose addresses are not those of deliveries. */
  readonly turnedAway = new Tally();
  /** Refusals that any public port has, over the last minutes. */
  readonly noise = new Counts(1, 5, MINUTE);

  get routes(): readonly (readonly [path: string, known: RouteLedger])[] {
    return [...this.#routes];
  }

  of(route: string): RouteLedger {
    const known = this.#routes.get(route);
    if (known !== undefined) return known;
    const created = new RouteLedger();
    this.#routes.set(route, created);
    return created;
  }

  /** Forgets the routes that a reload has removed. */
  keepOnly(routes: readonly string[]): void {
    for (const route of this.#routes.keys()) if (!routes.includes(route)) this.#routes.delete(route);
  }

  /** Called once for each request, at its end. A delivery counts once its fate is known: see `deliver`. */
  record(record: RequestRecord, now: number): void {
    const { decision, fate, route } = record;
    if (record.hint?.secret !== undefined) this.outside.add(record.hint.secret, record, now);
    if (fate !== 'none' || decision === 'probe') return;
    if (decision === 'rejected') this.#refuse(record, now);
    else if (decision === 'reported') this.#report(record, now);
    else if (decision === 'forwarded' && record.signed) {
      const known = this.of(route);
      known.unverified.add(record, now);
      if (record.method === 'POST' && record.wellFormed) known.unverifiedDeliveries++;
    }
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord, now: number, responseTimeout = 30_000): void {
    const { fate, route, upstreamMs, departedMs } = record;
    this.senders.accept(record, now);
    if (this.senders.accepted === 1) this.#judgeEarly(route);
    this.suspects.clear();
    const known = this.of(route);
    known.fates[fate]++;
    if (upstreamMs > Math.min(5000, responseTimeout / 3) || departedMs >= 0) {
      known.slow.add(0, now);
      if (departedMs >= 0) known.departedMs = departedMs;
      else known.slowMs = upstreamMs;
    }
    if (fate === 'taken') known.series.addGood(record.upstreamStatus, now);
    else if (fate !== 'duplicate') this.#bad(route, record, fate === 'deferred' ? null : fate, now);
  }

  /** Called when a stored delivery has ended. */
  redelivered({ route, result }: RedeliveryRecord, now: number): void {
    if (result === 'delivered') this.of(route).series.addGood(0, now);
  }

  /** Called when a connection is ended before any answer, since there are too many. `address`: that of the connection. */
  turnAway(address: string, now: number): void {
    const route = this.senders.routeOfConnection(address);
    if (route === null) return this.turnedAway.count(address, now);
    this.of(route).series.addBad('connections-full', 'turnedAway', null, now);
  }

  #bad(route: string, record: RequestRecord, loss: Loss | null, now: number): void {
    this.of(route).series.addBad(outcomeDiagnosis(record), loss, record, now);
  }

  #refuse(record: RequestRecord, now: number): void {
    if (isNoise(record)) return this.noise.add(0, now);
    if (isProven(record)) this.senders.prove(record);
    if (this.senders.accepted === 0) return this.#refuseEarly(record, now);
    // A request that came back to us is counted where it came in: the app gave it no answer.
    const route = record.reason === 'loop_detected' ? null : this.senders.routeOf(record);
    if (route !== null) return this.#bad(this.#seriesFor(record.route, route), record, 'refused', now);
    const diagnosis = strangerDiagnosis(record);
    this.strangers.add(diagnosis, record, now);
    if (this.senders.knows(record.client)) this.suspects.add(diagnosis, record, now);
  }

  /** A refusal counts on its own route if deliveries come there; else on the one that last accepted its look. */
  #seriesFor(own: string, ofLook: string): string {
    const series = this.#routes.get(own)?.series;
    return series !== undefined && series.good + series.bad > 0 ? own : ofLook;
  }

  #refuseEarly(record: RequestRecord, now: number): void {
    const signed = isSigned(record);
    // A POST to another path says nothing; on a route that verifies it may be a delivery that lost its header.
    if (!signed && record.reason !== 'missing_signature')
      return this.strangers.add(strangerDiagnosis(record), record, now);
    const { userAgent, contentType, renamedHeader, method, client } = record;
    const looks = {
      userAgent: copied(userAgent),
      contentType: copied(contentType),
      signed,
      renamedHeader,
      method,
      client,
    };
    const detail = new LastDetail();
    detail.set(record);
    const early = { diagnosis: outcomeDiagnosis(record), looks, detail, at: now };
    (signed ? this.early.signed : this.early.unsigned).add(early);
  }

  /** The first delivery was accepted: now its look shows which of the early refusals were deliveries, too. */
  #judgeEarly(route: string): void {
    const early = [...this.early.signed.kept, ...this.early.unsigned.kept].sort((one, other) => one.at - other.at);
    for (const { diagnosis, looks, detail, at } of early) {
      if (this.senders.routeOf(looks) !== null) this.of(route).series.addBad(diagnosis, 'refused', detail, at);
      else this.strangers.add(strangerDiagnosis(detail), detail, at);
    }
    this.early.signed.kept.length = 0;
    this.early.unsigned.kept.length = 0;
  }

  #report(record: RequestRecord, now: number): void {
    if (isNoise(record)) return this.noise.add(0, now);
    const isDelivery = isSigned(record) || this.senders.routeOf(record) !== null;
    if (isDelivery) this.of(record.route).reported.add(outcomeDiagnosis(record), record, now);
    else this.strangers.add(strangerDiagnosis(record), record, now);
  }
}

/** The diagnosis of a delivery. One without a signature had one where it was sent. */
function outcomeDiagnosis(record: Detail): OutcomeDiagnosis {
  return record.reason === 'missing_signature' ? 'signature-dropped' : strangerDiagnosis(record);
}

const strangerDiagnosis = (record: Detail) => diagnosisOf(record) ?? 'proxy-full';

/** True for what every public port gets: GETs, other paths and methods, and clients that left, all without a signature. */
export function isNoise(record: RequestRecord): boolean {
  const { reason, method, decision } = record;
  if (isSigned(record)) return reason === 'client_closed' && decision !== 'rejected';
  if ((method === 'GET' || method === 'HEAD') && (reason === 'missing_signature' || reason === 'bad_request'))
    return true;
  return reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed';
}
