// The ledger: what became of what. It tells deliveries from strangers' requests, and keeps the outcomes of each. The
// memory is constant under any flood, and a delivery that the app took allocates nothing while its sender looks the same.
// Times are milliseconds of the monotonic clock.
import { mostAlike } from '../base/nearest-word.ts';
import { FATES, type Fate, fateOf, isUntaken } from '../core/fate-by-status.ts';
import { type Hint, OVERLOAD_HINTS } from '../core/hint.ts';
import { PROBE_AGENT } from '../core/permit.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord, SentAgain } from '../core/request-record.ts';
import { type Route, type RouteTable, UNMATCHED } from '../core/routes.ts';
import { SLOW_MS } from '../facts.ts';
import { type Detail, detailOf, NONE } from './causes.ts';
import { COMPARED, Counts, Tally, tallyOf } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { LOST_ENDS, type LostEnd, Outcomes } from './route-outcomes.ts';
import { isProven, isSigned, isUnread, type Looks, Senders } from './senders.ts';
import { HOUR, MINUTE } from './times.ts';

/** Milliseconds. Whose sender leaves sooner tells nothing of the app: it had left, perhaps while we stood still. */
export const AT_ONCE = 250;

/** The number kept of each kind from before the first acceptance, which are judged again after it. */
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

  /** True once a delivery was verified here. */
  get hasVerified(): boolean {
    return FATES.some((fate) => this.fates[fate] > 0);
  }
}

export type Unproven = 'claims' | 'unsigned' | 'turnedAway' | 'others';
type Early = Looks & Detail & { readonly at: number; readonly kind: Unproven; readonly tally: Tally };

export class Ledger {
  senders = new Senders();
  /** Those that a reload has removed, too. */
  readonly all = new Map<string, RouteLedger>();
  /** The routes that may have an episode: of a thousand, each delivery must not ask all. */
  readonly #failing = new Map<string, Outcomes>();
  /** As of the start, or the last reload; null before they are told. */
  #table: RouteTable | null = null;
  #configured: ReadonlyMap<string, Route> | null = null;
  #verified: readonly string[] = [];
  /** By the id of the secret outside its dates that signed, so that no leak is hidden; ids are the configuration's. */
  readonly outside = new Map<string, Tally>();
  /**
   * Requests and connections that are not known to be deliveries, by diagnosis, so that no flood hides another one.
   * `claims`: with a signature, and what was not read from an address of deliveries where others send, too. `unsigned`:
   * without one on routes that verify, and other heads that were not read. What is more than a note is kept by its route:
   * an alert must not begin anew with each request elsewhere.
   */
  readonly unproven: Readonly<Record<Unproven, Map<string, Map<Diagnosis, Tally>>>> = {
    claims: new Map(),
    unsigned: new Map(),
    turnedAway: new Map(),
    others: new Map(),
  };
  /** The last of each kind from before the first acceptance. */
  readonly #early: Early[] = [];
  /** Since when, and since what, none was accepted that came before the first acceptance. */
  began = { at: 0, what: 'the start' };
  /** Deliveries since the start that may be lost. */
  lost = 0;
  /** When the app last took one, also at a later sending, on whichever route. */
  lastTaken = Number.NaN;
  /** Requests with a well-formed signature that were refused since it last took one that had just come. */
  refusedSince = 0;
  /** The last probe, if the app did not take it and has taken nothing since. */
  failedProbe: ReturnType<typeof untakenBy> = null;

  get routes(): readonly (readonly [path: string, known: RouteLedger])[] {
    return [...this.all].filter(([path]) => !this.isGone(path));
  }

  /** True once a reload has removed the route: then only its losses are told. */
  isGone(route: string): boolean {
    return this.#configured?.has(route) === false;
  }

  /** True while a route has an episode: nothing else is judged by what it was judged before. */
  hasEpisode(now = performance.now()): boolean {
    for (const [route, outcomes] of this.#failing) if (outcomes.episode(now) === null) this.#failing.delete(route);
    return this.#failing.size > 0;
  }

  of(route: string): RouteLedger {
    const known = this.all.get(route) ?? new RouteLedger();
    this.all.set(route, known);
    return known;
  }

  /**
   * Called at the start and after a reload. Forgets the routes that it has removed, but for their losses of the last day.
   * Where all deliveries came on such routes, nothing is known of the others yet, as after a start.
   */
  keepOnly(table: RouteTable, now = performance.now()): void {
    this.#table = table;
    this.#configured = new Map(table.all.map((route) => [route.path, route]));
    this.#verified = table.all.flatMap(({ path, action }) => (action === 'verify' && path !== UNMATCHED ? path : []));
    if (this.senders.areOnlyOutside(this.#configured)) {
      this.senders = new Senders();
      this.#early.length = 0;
      this.began = { at: now, what: 'a reload changed its route' };
    } else this.senders.keepOnly(this.#configured);
    for (const [route, { outcomes }] of this.all)
      if (this.isGone(route) && outcomes.lost(now) === 0 && this.all.delete(route)) this.#failing.delete(route);
    for (const kind of Object.values(this.unproven))
      for (const [route, tallies] of kind)
        if (this.isGone(route) && [...tallies.values()].every((one) => one.ofDay(now) === 0)) kind.delete(route);
  }

  /** Called once for each request, at its end. Returns its diagnosis. A delivery counts in `deliver`. */
  record(record: RequestRecord, now: number): Diagnosis | null {
    const { decision, fate, hint } = record;
    if (hint?.secret !== undefined) tallyOf(this.outside, hint.secret).add(hint.diagnosis, record, now);
    if (decision === 'probe') this.failedProbe = untakenBy(record, now);
    else if (fate === 'none') return this.#recordUnverified(record, now);
    return diagnosisOf(record);
  }

  #recordUnverified(record: RequestRecord, now: number): Diagnosis | null {
    const { decision } = record;
    if (isProven(record) && record.userAgent !== PROBE_AGENT) this.senders.prove(record);
    const ofLook = this.senders.routeOf(record, now);
    if (ofLook === null && !isSigned(record)) this.senders.share(record);
    if (decision === 'rejected' || decision === 'reported') {
      if (isNoise(record)) return diagnosisOf(record);
      // What looks like our probe may be anybody's. What came back to us is counted where it came in.
      if (record.userAgent === PROBE_AGENT || record.reason === 'loop_detected') this.#count('others', record, now);
      else if (decision === 'rejected') this.#weigh(record, ofLook, now);
      else this.#report(record, ofLook, now);
    } else if (decision === 'forwarded' && record.signed) this.#forward(record, ofLook, now);
    // A signature was lost on the way from a delivery, and from whatever has it under another name.
    const isDropped = record.reason === 'missing_signature' && (ofLook !== null || record.renamedHeader !== null);
    return isDropped ? 'signature-dropped' : diagnosisOf(record);
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord, now: number, responseTimeout = 30_000): void {
    const { fate, route, upstreamMs, departedMs } = record;
    // A delivery under way while a reload removed its route would come where none is now.
    this.senders.accept(record, this.isGone(route) ? UNMATCHED : route, now);
    if (this.senders.accepted === 1) this.#judgeEarly();
    const known = this.of(route);
    known.fates[fate]++;
    if (this.hasEpisode(now)) this.#pass(record, now);
    if (upstreamMs > Math.min(SLOW_MS, responseTimeout / 3) || departedMs >= AT_ONCE) {
      known.slow.add(0, now);
      if (departedMs < 0 || fate === 'taken') known.slowMs = Math.max(upstreamMs, departedMs);
    }
    if (fate === 'taken') {
      this.lastTaken = now;
      this.refusedSince = 0;
      this.failedProbe = null;
      known.outcomes.addGood(record, now);
    } else if (fate === 'duplicate') known.outcomes.end(record);
    else this.#bad(route, record, fate === 'deferred' ? null : fate, now);
  }

  /**
   * An accepted one passed where its route refuses, and the door that turned its address away. Where `unmatched`
   * verifies none, nothing else ends what a reload has left there: one that was taken does. A duplicate may be an old event
   * again, so it shows nothing of those that were refused within an hour.
   */
  #pass({ route, fate, connectionAddress }: Pick<RequestRecord, 'route' | 'fate' | 'connectionAddress'>, now: number) {
    for (const [path, outcomes] of this.#failing) {
      const action = this.#configured?.get(path)?.action ?? 'verify';
      const isLeft = path === UNMATCHED && !(action === 'verify' && this.of(path).hasVerified) && fate === 'taken';
      for (const one of outcomes.episode(now)?.causes.values() ?? []) {
        const { isRefusal, lastAt, detail } = one;
        const isHere = path === route || (detail.path === '' && detail.client === connectionAddress);
        const isSure = isRefusal && fate !== 'duplicate';
        if ((isHere ? isRefusal : isLeft) && (isSure || now - lastAt >= HOUR)) one.since++;
      }
    }
  }

  /** Called when a stored delivery was sent again. */
  sentAgain(sending: SentAgain, now = performance.now()): void {
    const record = { ...NONE, ...sending };
    const { outcomes } = this.of(sending.route);
    if (record.fate === 'duplicate') return void outcomes.end(record);
    if (record.fate !== 'taken') return this.#bad(sending.route, { ...record, startedAt: now }, null, now);
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
    const from = { client: address, connectionAddress: address, startedAt: now, hint };
    const connection = { ...NONE, userAgent: '', contentType: '', signed: false, ...from };
    const { accepted } = this.senders;
    const isCheck = hint.fromChecks === true && (this.senders.isCheck(address, now) || accepted === 0);
    if (isCheck && accepted > 0) this.refusedSince++; // or it is a delivery beside others
    if (isCheck) this.#count('others', connection, now);
    else this.#weigh(connection, this.senders.routeOf(connection, now), now);
  }

  #bad(route: string, record: Detail, loss: LostEnd | null, now: number): void {
    if (loss !== null) this.lost++;
    const { outcomes } = this.of(route);
    this.#failing.set(route, outcomes);
    outcomes.addBad(outcomeDiagnosis(record), loss, record, now);
  }

  /** Counts a refused request, or a connection turned away, as a delivery or as not known to be one. */
  #weigh(record: Looks & Detail, ofLook: string | null, now: number): void {
    const { senders } = this;
    const isEarly = senders.accepted === 0;
    const { userAgent, contentType, connectionAddress, signed, event, renamedHeader } = record;
    // What no all-clear stands beside: also what could not be read from where deliveries come.
    const isFromThere = isUnread(record) && senders.connections.find(connectionAddress) !== undefined;
    if (event !== '' || renamedHeader !== null || isFromThere) this.refusedSince++;
    if (ofLook !== null && !isEarly) return this.#refuseDelivery(record, ofLook, now);
    const kind = this.#kindOf(record);
    const tally = this.#count(kind, record, now);
    if (!isEarly) return senders.suspect(record, outcomeDiagnosis(record), now);
    const isAlike = (one: Early) => one.kind === kind;
    if (this.#early.filter(isAlike).length === EARLY) this.#early.splice(this.#early.findIndex(isAlike), 1);
    this.#early.push({ ...detailOf(record), userAgent, contentType, connectionAddress, signed, at: now, kind, tally });
  }

  /** A POST to another path says nothing; where deliveries are to come it may be one that lost its header. */
  #kindOf(record: Looks & Detail): Unproven {
    const { senders } = this;
    // Another protocol, as strangers speak it, too, from where only deliveries have come so far.
    const isOther =
      record.hint?.fromFront === false && senders.connections.find(record.connectionAddress)?.strange === 0;
    const isWeak = senders.accepted > 0 && (isOther || senders.connectionOf(record) !== undefined);
    if (isSigned(record) || isWeak) return 'claims';
    if (record.reason === 'none') return 'turnedAway';
    return record.reason === 'missing_signature' || isUnread(record) ? 'unsigned' : 'others';
  }

  #count(kind: Unproven, record: Detail, now: number): Tally {
    const diagnosis = kind === 'claims' ? outcomeDiagnosis(record) : strangerDiagnosis(record);
    const isOfRoute = kind === 'claims' || (kind === 'unsigned' && this.senders.accepted === 0);
    const route = isOfRoute ? this.#routeOf(record) : '';
    const tallies = this.unproven[kind].get(route) ?? new Map<Diagnosis, Tally>();
    this.unproven[kind].set(route, tallies);
    const tally = tallyOf(tallies, diagnosis);
    tally.add(diagnosis, record, now);
    return tally;
  }

  /** Counts on the route of its path, now or before a reload, or most like it; else on that which last took such a one. */
  #refuseDelivery(detail: Detail, ofLook: string, at: number): void {
    const { path, reason, rule } = detail;
    const route = this.#routeOf(detail);
    const isAstray = route === '' || wentAstray({ route, path, reason, rule });
    const own = isAstray ? (this.senders.places.find(path)?.route ?? mostAlike(path, this.#verified) ?? ofLook) : route;
    this.#bad(own, detail, reason === 'none' ? 'turnedAway' : 'refused', at);
  }

  /** The route of a request, or of its path: what breaks a rule has no route yet. */
  #routeOf({ route, path, rule }: Detail): string {
    return rule !== null && route === UNMATCHED ? this.routeFor(path) : route;
  }

  /** The route that takes a path now, as far as is known. Each judgement asks, so a stranger's long one is not folded. */
  routeFor(path: string): string {
    const isShort = path !== '' && path.length <= COMPARED;
    return (isShort ? this.#table?.routeFor(path, Date.now())?.path : null) ?? UNMATCHED;
  }

  /** The first delivery was accepted: now its look and address show what of the early ones were deliveries, too. */
  #judgeEarly(): void {
    for (const one of this.#early.splice(0)) {
      const route = this.senders.routeOf(one, one.at);
      if (route === null) continue;
      one.tally.takeBack(one.at);
      this.#refuseDelivery(one, route, one.at);
    }
  }

  /** What has the look and the address of a delivery is one, though nobody verified it. */
  #forward(record: RequestRecord, ofLook: string | null, now: number): void {
    const known = this.of(record.route);
    known.unverified.add('signed-unverified', record, now);
    // A forward route is somebody's choice, unless a reload made it one.
    const mayBe = record.route === UNMATCHED || known.hasVerified;
    if (mayBe && record.method === 'POST' && record.event !== '') known.unverifiedDeliveries++;
    if (ofLook === null) return;
    this.#pass(record, now);
    const untaken = untakenBy(record, now);
    const loss = LOST_ENDS.find((end) => end === untaken?.detail.fate);
    if (untaken === null || loss === undefined) known.outcomes.addGood(record, now);
    else this.#bad(record.route, untaken.detail, loss, now);
  }

  /** What report mode let pass: why it would be refused, and if it may be a delivery, whether the app took it. */
  #report(record: RequestRecord, ofLook: string | null, now: number): void {
    const known = this.of(record.route);
    const isDelivery = isSigned(record) || ofLook !== null;
    const detail = detailOf(record);
    const refusal = { ...detail, upstreamFailure: null, upstreamStatus: 0 };
    const why = isDelivery ? outcomeDiagnosis(refusal) : strangerDiagnosis(refusal);
    tallyOf(known.reported, why).add(why, record, now);
    const untaken = isDelivery ? untakenBy({ ...detail, hint: null, reason: 'none' }, now) : null;
    if (untaken !== null) tallyOf(known.untaken, untaken.diagnosis).add(untaken.diagnosis, untaken.detail, now);
  }
}

/** True for a refused request that was sent to no route that takes requests, as far as is known. */
export const wentAstray = ({ route, path, reason, rule }: Pick<Detail, 'route' | 'path' | 'reason' | 'rule'>) =>
  reason === 'route_rejected' || (route === UNMATCHED && (rule !== null || path === ''));

/** The diagnosis of a delivery. One without a signature had one where it was sent. */
function outcomeDiagnosis(record: Detail): Diagnosis {
  return record.reason === 'missing_signature' ? 'signature-dropped' : strangerDiagnosis(record);
}

export const strangerDiagnosis = (record: Detail) => diagnosisOf(record) ?? 'proxy-full';

/** What the app did with a request that is no delivery; null if it took it. */
export function untakenBy(record: Detail, now: number) {
  const { upstreamFailure, upstreamStatus: status } = record;
  const fate = fateOf({ how: 'not stored', failed: upstreamFailure && 'upstream', status });
  if (!isUntaken(fate)) return null;
  const detail = { ...detailOf(record), fate };
  return { diagnosis: strangerDiagnosis(detail), detail, times: 1, lastAt: now };
}

/** True for what every public port gets: GETs, other paths and methods, and clients that left, all without a signature. */
function isNoise(record: RequestRecord): boolean {
  const { reason, method, decision } = record;
  if (isSigned(record)) return reason === 'client_closed' && decision !== 'rejected';
  if (reason === 'missing_signature' || reason === 'bad_request') return method === 'GET' || method === 'HEAD';
  return reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed';
}
