// The ledger: what became of what. It tells deliveries from strangers' requests, and keeps the outcomes of each. The
// memory is constant under any flood, and a delivery that the app took allocates nothing while its sender looks the same.
// Times are milliseconds of the monotonic clock.
import { FATES, type Fate, fateOf, isUntaken } from '../core/fate-by-status.ts';
import { type Hint, OVERLOAD_HINTS } from '../core/hint.ts';
import { PROBE_AGENT } from '../core/permit.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord, SentAgain } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { SLOW_MS } from '../facts.ts';
import { type Cause, type Detail, detailOf, NONE } from './causes.ts';
import { Counts, copied, Tally, tallyOf } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { type LostEnd, Outcomes } from './route-outcomes.ts';
import { isProven, isSigned, isUnread, type Looks, Senders } from './senders.ts';
import { MINUTE } from './times.ts';

/** The number kept of each kind of `Early`, which are judged again after the first acceptance. */
const EARLY = 16;

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
  /** Requests that report mode let pass, by why they would be refused; and those that the app then did not take. */
  readonly reported = new Map<Diagnosis, Tally>();
  readonly untaken = new Map<Diagnosis, Tally>();
  /** When a delivery was refused that counts here by its look or address alone. */
  lastAstray = Number.NaN;
  /** True once a reload has removed the route: then only its losses are told. */
  isGone = false;
}

/** Requests refused and connections turned away before the first acceptance; the last ones are kept. */
class Early {
  readonly tallies = new Map<Diagnosis, Tally>();
  readonly kept: (Looks & Detail & { readonly at: number })[] = [];

  add(diagnosis: Diagnosis, record: Looks & Detail, at: number): void {
    const { userAgent, contentType, connectionAddress, signed, method } = record;
    const texts = { userAgent: copied(userAgent), contentType: copied(contentType), client: copied(record.client) };
    tallyOf(this.tallies, diagnosis).add(diagnosis, record, at);
    if (this.kept.length === EARLY) this.kept.shift();
    this.kept.push({ ...detailOf(record), ...texts, connectionAddress, signed, method, at });
  }
}

/** The look of a connection on which no request came. */
const NO_LOOK = { userAgent: '', contentType: '', signed: false, method: '' } as const;

/** `unsigned`: POSTs on routes that verify, and heads that were not read. */
const noneEarly = (since: string) => ({
  since,
  signed: new Early(),
  unsigned: new Early(),
  turnedAway: new Early(),
});

export class Ledger {
  senders = new Senders();
  /** Those that a reload has removed, too. */
  readonly all = new Map<string, RouteLedger>();
  /** As of the start, or the last reload; null before they are told. */
  #configured: ReadonlySet<string> | null = null;
  /** By the id of the secret outside its dates that signed, so that no leak is hidden; ids are the configuration's. */
  readonly outside = new Map<string, Tally>();
  early = noneEarly('the start');
  /** When the first delivery was accepted, if then not all early ones were kept. */
  forgotAt = Number.NaN;
  /** Requests of strangers by diagnosis, so that no flood hides another one. */
  readonly strangers = new Map<Diagnosis, Tally>();
  /** Those of them that had a signature. */
  readonly claims = new Map<Diagnosis, Tally>();
  /** Refused and reported requests that any public port has, over the last minutes. */
  readonly noise = new Counts(1, 5, MINUTE);
  /** Deliveries since the start that may be lost. */
  lost = 0;
  /** When the app last took one, also at a later sending, on whichever route. */
  lastTaken = Number.NaN;
  /** Requests with a well-formed signature that were refused since it last took one that had just come. */
  refusedSince = 0;
  /** The last probe, if the app did not take it and has taken nothing since. */
  failedProbe: Cause | null = null;

  get routes(): readonly (readonly [path: string, known: RouteLedger])[] {
    return [...this.all].filter(([, { isGone }]) => !isGone);
  }

  /** True while a route has an episode: nothing else is judged by what it was judged before. */
  hasEpisode(now = performance.now()): boolean {
    for (const { outcomes } of this.all.values()) if (outcomes.episode(now) !== null) return true;
    return false;
  }

  of(route: string): RouteLedger {
    let known = this.all.get(route);
    if (known === undefined) {
      known = new RouteLedger();
      known.isGone = this.#configured?.has(route) === false;
      this.all.set(route, known);
    }
    return known;
  }

  /**
   * Called at the start and after a reload. Forgets the routes that it has removed, but for their losses of the last day.
   * Where all deliveries came on such routes, nothing is known of the others yet, as after a start.
   */
  keepOnly(routes: readonly string[], now = performance.now()): void {
    this.#configured = new Set(routes);
    if (this.senders.areOnlyOutside(routes)) {
      this.senders = new Senders();
      this.early = noneEarly('a reload removed its route');
    } else this.senders.keepOnly(routes);
    for (const [route, known] of this.all) {
      known.isGone = !this.#configured.has(route);
      if (known.isGone && known.outcomes.lost(now) === 0) this.all.delete(route);
    }
  }

  /** Called once for each request, at its end. Returns its diagnosis. A delivery counts in `deliver`. */
  record(record: RequestRecord, now: number): Diagnosis | null {
    const { decision, fate, route, hint } = record;
    if (hint?.secret !== undefined) tallyOf(this.outside, hint.secret).add(hint.diagnosis, record, now);
    if (decision === 'probe') this.failedProbe = untakenBy(record, now);
    if (fate !== 'none' || decision === 'probe') return diagnosisOf(record);
    if (decision === 'rejected' || decision === 'reported') {
      if (isNoise(record)) this.noise.add(0, now);
      // Whoever sends what looks like our probe gains only that it is told as a stranger's.
      else if (record.userAgent === PROBE_AGENT) this.#stranger(record, now);
      else if (decision === 'rejected') this.#refuse(record, now);
      else this.#report(record, now);
    } else if (decision === 'forwarded' && record.signed) {
      const known = this.of(route);
      known.unverified.add('signed-unverified', record, now);
      if (record.method === 'POST' && record.event !== '') known.unverifiedDeliveries++;
    }
    return record.reason === 'missing_signature' && this.#isDropped(record) ? 'signature-dropped' : diagnosisOf(record);
  }

  /** True for what had a signature where it was sent: a delivery, and whatever has it under another name. */
  #isDropped(record: RequestRecord): boolean {
    return record.renamedHeader !== null || this.senders.routeOf(record) !== null;
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord, now: number, responseTimeout = 30_000): void {
    const { fate, route, upstreamMs, departedMs } = record;
    this.senders.accept(record, this.#routeNow(route), now);
    if (this.senders.accepted === 1) this.#judgeEarly(now);
    const known = this.of(route);
    known.fates[fate]++;
    if (upstreamMs > Math.min(SLOW_MS, responseTimeout / 3) || departedMs >= 0) {
      known.slow.add(0, now);
      if (departedMs < 0 || fate === 'taken') known.slowMs = upstreamMs;
    }
    if (fate === 'taken') {
      this.lastTaken = now;
      this.refusedSince = 0;
      this.failedProbe = null;
      known.outcomes.addGood(record, now);
      if (route !== UNMATCHED) this.#tookElsewhere(now);
    } else if (fate === 'duplicate') known.outcomes.end(record);
    else this.#bad(route, record, fate === 'deferred' ? null : fate, now);
  }

  /** Nothing else ends what a reload has left without its route, where no delivery was ever verified on `unmatched`. */
  #tookElsewhere(now: number): void {
    const left = this.all.get(UNMATCHED);
    const episode = left?.outcomes.episode(now) ?? null;
    if (episode !== null && FATES.every((fate) => left?.fates[fate] === 0)) episode.took(now);
  }

  /** Called when a stored delivery was sent again. */
  sentAgain(sending: SentAgain, now = performance.now()): void {
    const record = { ...NONE, ...sending };
    const { outcomes } = this.of(sending.route);
    if (record.fate === 'duplicate') return void outcomes.end(record);
    if (record.fate !== 'taken')
      return outcomes.addSending(strangerDiagnosis(record), { ...record, startedAt: now }, now);
    this.lastTaken = now;
    this.failedProbe = null;
    outcomes.addGood(record, now);
  }

  /** Called before each judgement with the routes of what is stored; null while that is not known. */
  keepStored(routes: readonly string[] | null): void {
    // The route of what cannot be read is not known.
    if (routes === null || routes.includes('')) return;
    for (const [route, { outcomes }] of this.all) if (!routes.includes(route)) outcomes.endStored();
  }

  /** Called when a connection is ended before any answer. `address`: that of the connection. */
  turnAway(address: string, now = performance.now(), hint: Hint = OVERLOAD_HINTS.connections): void {
    const connection = { ...NONE, ...NO_LOOK, client: address, connectionAddress: address, startedAt: now, hint };
    const isCheck = hint.fromChecks === true && (this.senders.isCheck(address, now) || this.senders.accepted === 0);
    if (isCheck && this.senders.accepted > 0) this.refusedSince++; // or it is a delivery beside others
    const route = isCheck ? null : this.senders.routeOfConnection(address);
    if (this.senders.accepted === 0 && !isCheck) this.early.turnedAway.add(hint.diagnosis, connection, now);
    else if (route === null) this.#stranger(connection, now);
    else this.#bad(route, connection, 'turnedAway', now);
  }

  #bad(route: string, record: Detail, loss: LostEnd | null, now: number): void {
    if (loss !== null) this.lost++;
    this.of(route).outcomes.addBad(outcomeDiagnosis(record), loss, record, now);
  }

  #refuse(record: RequestRecord, now: number): void {
    // A request that came back to us is counted where it came in: the app gave it no answer.
    if (record.reason === 'loop_detected') return this.#stranger(record, now);
    if (this.#mayBeDelivery(record)) this.refusedSince++;
    if (isProven(record)) this.senders.prove(record, this.#routeNow(record.route));
    if (this.senders.accepted === 0) return this.#refuseEarly(record, now);
    if (this.#refuseDelivery(record, now)) return;
    if (isSigned(record)) return this.#claim(record, now);
    this.#stranger(record, now);
    this.senders.suspect(record, outcomeDiagnosis(record), now);
  }

  /** What no all-clear stands beside: also what could not be read from where deliveries come. */
  #mayBeDelivery(record: RequestRecord): boolean {
    if (isUnread(record)) return this.senders.routeOfConnection(record.connectionAddress) !== null;
    return record.event !== '' || record.renamedHeader !== null;
  }

  #claim(record: Detail, now: number): void {
    const diagnosis = outcomeDiagnosis(record);
    tallyOf(this.claims, diagnosis).add(diagnosis, record, now);
  }

  /** False for what is no delivery. */
  #refuseDelivery(detail: Looks & Detail, at: number): boolean {
    const route = this.senders.routeOf(detail);
    if (route === null) return false;
    const own = wentAstray(detail) ? this.#routeAt(detail, route) : detail.route;
    if (own !== detail.route && own !== detail.path) this.of(own).lastAstray = at;
    this.#bad(own, detail, 'refused', at);
    return true;
  }

  /** The route of its path, which has none yet, or since a reload; else the one that last accepted such a delivery. */
  #routeAt({ rule, path }: Detail, ofLook: string): string {
    if (rule !== null && this.#configured?.has(path) === true) return path;
    return this.senders.routeOfPlace(path) ?? ofLook;
  }

  /** Where what was on its way to a route while a reload removed it would come now. */
  #routeNow(route: string): string {
    return this.#configured?.has(route) === false ? UNMATCHED : route;
  }

  #refuseEarly(record: RequestRecord, now: number): void {
    // A POST to another path says nothing; on a route that verifies it may be a delivery that lost its header.
    const { signed, unsigned } = this.early;
    const isBare = record.reason === 'missing_signature' || isUnread(record);
    if (isSigned(record)) signed.add(outcomeDiagnosis(record), record, now);
    else if (isBare) unsigned.add(strangerDiagnosis(record), record, now);
    else this.#stranger(record, now);
  }

  /** The first delivery was accepted: now its look and address show what of the early ones were deliveries, too. */
  #judgeEarly(now: number): void {
    const { since, ...kinds } = this.early;
    const early = Object.values(kinds).flatMap(({ kept }) => kept);
    this.early = noneEarly(since);
    if (Object.values(kinds).some(({ kept }) => kept.length === EARLY)) this.forgotAt = now;
    for (const one of early.sort((one, other) => one.at - other.at)) {
      if (one.reason === 'none') this.turnAway(one.connectionAddress, one.at, one.hint ?? undefined);
      else if (this.#refuseDelivery(one, one.at)) continue;
      else if (isSigned(one)) this.#claim(one, one.at);
      else this.#stranger(one, one.at);
    }
  }

  /** What report mode let pass: why it would be refused, and if it may be a delivery, whether the app took it. */
  #report(record: RequestRecord, now: number): void {
    const known = this.of(record.route);
    const isDelivery = isSigned(record) || this.senders.routeOf(record) !== null;
    const detail = detailOf(record);
    const refusal = { ...detail, upstreamFailure: null, upstreamStatus: 0 };
    const why = isDelivery ? outcomeDiagnosis(refusal) : strangerDiagnosis(refusal);
    tallyOf(known.reported, why).add(why, record, now);
    const untaken = isDelivery ? untakenBy({ ...detail, hint: null, reason: 'none' }, now) : null;
    if (untaken !== null) tallyOf(known.untaken, untaken.diagnosis).add(untaken.diagnosis, untaken.detail, now);
  }

  #stranger(record: Detail, now: number): void {
    const diagnosis = strangerDiagnosis(record);
    tallyOf(this.strangers, diagnosis).add(diagnosis, record, now);
  }
}

/** True for a refused request that was sent to no route that takes requests, as far as is known. */
export const wentAstray = ({ route, path, reason, rule }: Detail) =>
  reason === 'route_rejected' || (route === UNMATCHED && (rule !== null || path === ''));

/** The diagnosis of a delivery. One without a signature had one where it was sent. */
function outcomeDiagnosis(record: Detail): Diagnosis {
  return record.reason === 'missing_signature' ? 'signature-dropped' : strangerDiagnosis(record);
}

const strangerDiagnosis = (record: Detail) => diagnosisOf(record) ?? 'proxy-full';

/** What the app did with a request that is no delivery; null if it took it. */
export function untakenBy(record: Detail, now: number): Cause | null {
  const { upstreamFailure, upstreamStatus: status } = record;
  const fate = fateOf({ how: 'neither', failed: upstreamFailure && 'upstream', status });
  if (!isUntaken(fate)) return null;
  const detail = { ...detailOf(record), fate };
  return { diagnosis: strangerDiagnosis(detail), detail, times: 1, firstAt: now, lastAt: now };
}

/** True for what every public port gets: GETs, other paths and methods, and clients that left, all without a signature. */
function isNoise(record: RequestRecord): boolean {
  const { reason, method, decision } = record;
  if (isSigned(record)) return reason === 'client_closed' && decision !== 'rejected';
  if ((method === 'GET' || method === 'HEAD') && (reason === 'missing_signature' || reason === 'bad_request'))
    return true;
  return reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed';
}
