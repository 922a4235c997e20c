// The ledger: what became of what. It tells deliveries from strangers' requests, and keeps the outcomes of each. The
// memory is constant under any flood, and nothing is allocated for a request but where a diagnosis comes for the first
// time. Times are milliseconds of the monotonic clock.

import { FATES, type Fate, type RedeliveryRecord } from '../core/fate.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { type Detail, detailOf } from './causes.ts';
import { Counts, copied, Tally, tallyOf } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { type LostEnd, Outcomes } from './route-outcomes.ts';
import { isProven, isSigned, type Looks, Senders } from './senders.ts';
import { MINUTE } from './times.ts';

/** The refusals before the first acceptance that are judged again once a look is known. */
const EARLY = 16;
/** Milliseconds. A longer answer is slow, and so is one that takes a third of `responseTimeout`: see *slow-app*. */
const SLOW_MS = 5000;

/** Facts about one route since the start. */
export class RouteLedger {
  readonly outcomes = new Outcomes();
  readonly fates = Object.fromEntries(FATES.map((fate) => [fate, 0])) as Record<Fate, number>;
  /** Of deliveries that took long, or whose sender left first, by minute. */
  readonly slow = new Counts(1, 15, MINUTE);
  /** Milliseconds that the last slow answer took; -1 if there is none. */
  slowMs = -1;
  /** Requests with a signature that were forwarded without a look at it; `deliveries`: POSTs that look like Entrupy's. */
  readonly unverified = new Tally();
  unverifiedDeliveries = 0;
  /** Requests that report mode let pass. */
  readonly reported = new Map<Diagnosis, Tally>();
  /** True once a reload has removed the route: then only its losses are told. */
  isGone = false;
}

/** Refusals that came before the first acceptance; the last ones are kept. */
class EarlyRefusals {
  readonly tally = new Tally();
  readonly kept: { readonly looks: Looks; readonly detail: Detail; readonly at: number }[] = [];

  add(record: RequestRecord, at: number): void {
    const { userAgent, contentType, client, signed, renamedHeader, method } = record;
    const texts = { userAgent: copied(userAgent), contentType: copied(contentType), client: copied(client) };
    this.tally.add(outcomeDiagnosis(record), record, at);
    if (this.kept.length === EARLY) this.kept.shift();
    this.kept.push({ looks: { ...texts, signed, renamedHeader, method }, detail: detailOf(record), at });
  }
}

/** With a signature, and POSTs without one on routes that verify. */
const noneEarly = (since: string) => ({ since, signed: new EarlyRefusals(), unsigned: new EarlyRefusals() });

export class Ledger {
  senders = new Senders();
  readonly #routes = new Map<string, RouteLedger>();
  /** As of the last reload; null before the first. */
  #configured: readonly string[] | null = null;
  /** By the id of the secret outside its dates that signed, so that no leak is hidden; ids are the configuration's. */
  readonly outside = new Map<string, Tally>();
  early = noneEarly('the start');
  /** Requests of strangers by diagnosis, so that no flood hides another one. */
  readonly strangers = new Map<Diagnosis, Tally>();
  /** Connections turned away whose addresses are not those of deliveries. */
  readonly turnedAway = new Tally();
  /** Refused and reported requests that any public port has, over the last minutes. */
  readonly noise = new Counts(1, 5, MINUTE);
  /** Deliveries since the start that may be lost. */
  lost = 0;
  /** When the app last took one that had just come, on whichever route. */
  lastTaken = Number.NaN;
  /** Requests with a well-formed signature that were refused since then. */
  refusedSince = 0;

  /** The routes; `all`: those that a reload has removed, too. */
  get routes(): readonly (readonly [path: string, known: RouteLedger])[] {
    return this.all.filter(([, { isGone }]) => !isGone);
  }

  get all(): readonly (readonly [path: string, known: RouteLedger])[] {
    return [...this.#routes];
  }

  of(route: string): RouteLedger {
    let known = this.#routes.get(route);
    if (known === undefined) {
      known = new RouteLedger();
      known.isGone = this.#configured?.includes(route) === false;
      this.#routes.set(route, known);
    }
    return known;
  }

  /**
   * Forgets the routes that a reload has removed, but for their losses of the last day. Where all deliveries came on such
   * routes, nothing is known of the others yet, as after a start.
   */
  keepOnly(routes: readonly string[], now: number): void {
    this.#configured = routes;
    if (this.senders.areOnlyOutside(routes)) {
      this.senders = new Senders();
      this.early = noneEarly('a reload removed its route');
    } else this.senders.keepOnly(routes);
    for (const [route, known] of this.#routes) {
      known.isGone = !routes.includes(route);
      if (known.isGone && known.outcomes.lost(now) === 0) this.#routes.delete(route);
    }
  }

  /** Called once for each request, at its end. A delivery counts once its fate is known: see `deliver`. */
  record(record: RequestRecord, now: number): void {
    const { decision, fate, route, hint } = record;
    if (hint?.secret !== undefined) tallyOf(this.outside, hint.secret).add(hint.diagnosis, record, now);
    if (fate !== 'none' || decision === 'probe') return;
    if (decision === 'rejected' || decision === 'reported') {
      if (isNoise(record)) this.noise.add(0, now);
      else if (decision === 'rejected') this.#refuse(record, now);
      else this.#report(record, now);
    } else if (decision === 'forwarded' && record.signed) {
      const known = this.of(route);
      known.unverified.add(strangerDiagnosis(record), record, now);
      if (record.method === 'POST' && record.wellFormed) known.unverifiedDeliveries++;
    }
  }

  /** True for a delivery without its signature header, as far as its look and address tell. */
  isDropped(record: RequestRecord): boolean {
    return record.reason === 'missing_signature' && this.senders.routeOf(record) !== null;
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord, now: number, responseTimeout = 30_000): void {
    const { fate, route, upstreamMs, departedMs } = record;
    this.senders.accept(record, now);
    if (this.senders.accepted === 1) this.#judgeEarly(route);
    const known = this.of(route);
    known.fates[fate]++;
    if (upstreamMs > Math.min(SLOW_MS, responseTimeout / 3) || departedMs >= 0) {
      known.slow.add(0, now);
      if (departedMs < 0) known.slowMs = upstreamMs;
    }
    if (fate === 'taken') {
      this.lastTaken = now;
      this.refusedSince = 0;
      known.outcomes.addGood(record.upstreamStatus, now);
    } else if (fate !== 'duplicate') this.#bad(route, record, fate === 'deferred' ? null : fate, now);
  }

  /** Called when a stored delivery has ended. */
  redelivered({ route, result }: RedeliveryRecord, now: number): void {
    if (result === 'delivered') this.of(route).outcomes.addTakenLater(now);
  }

  /** Called when a connection is ended before any answer, since there are too many. `address`: that of the connection. */
  turnAway(address: string, now: number): void {
    const route = this.senders.routeOfConnection(address);
    if (route === null) return this.turnedAway.count(address, now);
    this.lost++;
    this.of(route).outcomes.addBad('connections-full', 'turnedAway', null, now);
  }

  #bad(route: string, record: Detail, loss: LostEnd | null, now: number): void {
    if (loss !== null) this.lost++;
    this.of(route).outcomes.addBad(outcomeDiagnosis(record), loss, record, now);
  }

  #refuse(record: RequestRecord, now: number): void {
    // A request that came back to us is counted where it came in: the app gave it no answer.
    if (record.reason === 'loop_detected') return this.#stranger(record, now);
    if (record.wellFormed) this.refusedSince++;
    if (isProven(record)) this.senders.prove(record);
    if (this.senders.accepted === 0) return this.#refuseEarly(record, now);
    const route = this.senders.routeOf(record);
    if (route !== null) return this.#bad(this.#routeFor(record.route, route), record, 'refused', now);
    this.#stranger(record, now);
    this.senders.suspect(record, outcomeDiagnosis(record), now);
  }

  /** A refusal counts on its own route if deliveries come there; else on the one that last accepted its look. */
  #routeFor(own: string, ofLook: string): string {
    const outcomes = this.#routes.get(own)?.outcomes;
    const isOwn = ofLook === UNMATCHED || (outcomes !== undefined && outcomes.good + outcomes.bad > 0);
    return isOwn ? own : ofLook;
  }

  #refuseEarly(record: RequestRecord, now: number): void {
    // A POST to another path says nothing; on a route that verifies it may be a delivery that lost its header.
    if (isSigned(record)) this.early.signed.add(record, now);
    else if (record.reason === 'missing_signature') this.early.unsigned.add(record, now);
    else this.#stranger(record, now);
  }

  /** The first delivery was accepted: now its look shows which of the early refusals were deliveries, too. */
  #judgeEarly(route: string): void {
    const early = [...this.early.signed.kept, ...this.early.unsigned.kept].sort((one, other) => one.at - other.at);
    for (const { looks, detail, at } of early) {
      if (this.senders.routeOf(looks) !== null) this.#bad(route, detail, 'refused', at);
      else this.#stranger(detail, at);
    }
    this.early.signed.kept.length = 0;
    this.early.unsigned.kept.length = 0;
  }

  #report(record: RequestRecord, now: number): void {
    const isDelivery = isSigned(record) || this.senders.routeOf(record) !== null;
    if (!isDelivery) return this.#stranger(record, now);
    const diagnosis = outcomeDiagnosis(record);
    tallyOf(this.of(record.route).reported, diagnosis).add(diagnosis, record, now);
  }

  #stranger(record: Detail, now: number): void {
    const diagnosis = strangerDiagnosis(record);
    tallyOf(this.strangers, diagnosis).add(diagnosis, record, now);
  }
}

/** The diagnosis of a delivery. One without a signature had one where it was sent. */
function outcomeDiagnosis(record: Detail): Diagnosis {
  return record.reason === 'missing_signature' ? 'signature-dropped' : strangerDiagnosis(record);
}

const strangerDiagnosis = (record: Detail) => diagnosisOf(record) ?? 'proxy-full';

/** True for what every public port gets: GETs, other paths and methods, and clients that left, all without a signature. */
function isNoise(record: RequestRecord): boolean {
  const { reason, method, decision } = record;
  if (isSigned(record)) return reason === 'client_closed' && decision !== 'rejected';
  if ((method === 'GET' || method === 'HEAD') && (reason === 'missing_signature' || reason === 'bad_request'))
    return true;
  return reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed';
}
