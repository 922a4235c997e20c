// The ledger: what became of what. It tells deliveries from strangers' requests, and keeps the outcomes of each. The
// memory is constant under any flood, and a delivery that the app took allocates nothing while its sender looks the same.
// Times are milliseconds of the monotonic clock.
import { mostAlike } from '../base/nearest-word.ts';
import { fateOf, isUntaken } from '../core/fate-by-status.ts';
import { type Hint, OVERLOAD_HINTS } from '../core/hint.ts';
import { PROBE_AGENT } from '../core/permit.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord, SentAgain } from '../core/request-record.ts';
import { type Route, type RouteTable, UNMATCHED } from '../core/routes.ts';
import { SLOW_MS } from '../facts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { LOST_ENDS, type LostEnd, RouteLedger } from './route-ledger.ts';
import { isProven, isSigned, isUnread, type Looks, Senders } from './senders.ts';
import { COMPARED, type Detail, detailOf, entryOf, NONE, Tally } from './tallies.ts';
import { HOUR } from './times.ts';

/** Milliseconds. Whose sender leaves sooner tells nothing of the app: it had left, perhaps while we stood still. */
const AT_ONCE = 250;
/** The number kept of each kind, which are judged again once a delivery comes from a sender that was not known. */
const AGAIN = 16;

// Requests that are not known to be deliveries. `claims`: signed, or not read from an address of deliveries where others send,
// too. `unsigned`: without one where deliveries are to come, and other heads not read. `turnedAway`: connections. `reported`:
// let pass by report mode, by why they would be refused; `untaken`: those that the app then did not take. `others`: strangers'.
export const KINDS = ['reported', 'untaken', 'claims', 'unsigned', 'turnedAway', 'others'] as const;
export type Kind = (typeof KINDS)[number];

export class Ledger {
  senders = new Senders();
  /** Those that a reload has removed, too. */
  readonly all = new Map<string, RouteLedger>();
  /** The routes that may have an open cause: of a thousand, each delivery must not ask all. */
  readonly #failing = new Map<string, RouteLedger>();
  /** As of the start, or the last reload; null before they are told. */
  #table: RouteTable | null = null;
  #configured: ReadonlyMap<string, Route> | null = null;
  #verified: readonly string[] = [];
  /** Ids of secrets that signed outside their dates. */
  readonly outside = new Set<string>();
  /** Of requests with a signature that were forwarded without a look at it, by route. */
  readonly unverified = new Map<string, Tally>();
  /** By kind, route and diagnosis: no flood hides another. A note has no route: an alert must not begin anew with each. */
  readonly tallies = Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as Record<
    Kind,
    Map<string, Map<Diagnosis, Tally>>
  >;
  /** The last claims, and of other kinds those before the first acceptance: each new sender shows what of them were deliveries. */
  readonly #again = new Set<{ readonly kind: Kind; readonly isDelivery: () => boolean }>();
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

  get routes(): readonly (readonly [path: string, outcomes: RouteLedger])[] {
    return [...this.all].filter(([path]) => !this.isGone(path));
  }

  /** True once a reload has removed the route: then only its losses are told. */
  isGone(route: string): boolean {
    return this.#configured?.has(route) === false;
  }

  /** True while a route has an open cause: nothing else is judged by what it was judged before. */
  hasEpisode(now = performance.now()): boolean {
    for (const [route, outcomes] of this.#failing) if (outcomes.causes(now).size === 0) this.#failing.delete(route);
    return this.#failing.size > 0;
  }

  of(route: string): RouteLedger {
    return entryOf(this.all, route, newRoute);
  }

  /** Called at the start and after a reload. Forgets the routes that it has removed, but for what is told for a day. */
  keepOnly(table: RouteTable, now = performance.now()): void {
    this.#table = table;
    this.#configured = new Map(table.all.map((route) => [route.path, route]));
    this.#verified = table.all.flatMap(({ path, action }) => (action === 'verify' && path !== UNMATCHED ? path : []));
    // Where all deliveries came on such routes, nothing is known of the others yet, as after a start.
    if (this.senders.areOnlyOutside(this.#configured)) {
      this.senders = new Senders();
      this.#again.clear();
      this.began = { at: now, what: 'a reload changed its route' };
    } else this.senders.keepOnly(this.#configured);
    for (const [route, outcomes] of this.all)
      if (this.isGone(route) && outcomes.lost(now) === 0 && this.all.delete(route)) this.#failing.delete(route);
    for (const kind of Object.values(this.tallies))
      for (const [route, tallies] of kind)
        if (this.isGone(route) && [...tallies.values()].every((one) => one.ofDay(now) === 0)) kind.delete(route);
  }

  /** Called once for each request, at its end. Returns its diagnosis. A delivery counts in `deliver`. */
  record(record: RequestRecord, now: number): Diagnosis | null {
    const { decision, fate, hint } = record;
    if (hint?.secret !== undefined) this.outside.add(hint.secret);
    if (decision === 'probe') this.failedProbe = untakenBy(record, now);
    else if (fate === 'none') return this.#recordUnverified(record, now);
    return diagnosisOf(record);
  }

  #recordUnverified(record: RequestRecord, now: number): Diagnosis | null {
    const { decision, reason, userAgent, renamedHeader, route } = record;
    if (isProven(record) && userAgent !== PROBE_AGENT) this.senders.prove(record, route);
    const ofLook = this.senders.routeOf(record, now);
    if (ofLook === null && !isSigned(record)) this.senders.share(record);
    if (decision === 'rejected' || decision === 'reported') {
      if (isNoise(record)) return diagnosisOf(record);
      if (decision === 'reported') this.#report(record, ofLook !== null, now);
      // What looks like our probe may be anybody's. What came back to us is counted where it came in.
      else if (userAgent === PROBE_AGENT || reason === 'loop_detected') this.#count('others', '', record, now);
      else this.#weigh(record, ofLook, now);
    } else if (record.signed) this.#forward(record, ofLook, now);
    // A signature was lost on the way from a delivery, and from whatever has it under another name.
    return diagnosisFor(record, ofLook !== null || renamedHeader !== null);
  }

  /** Called once for each delivery, when its fate is known. */
  deliver(record: DeliveryRecord, now: number, responseTimeout = 30_000): void {
    const { fate, route, upstreamMs, departedMs } = record;
    // A delivery under way while a reload removed its route would come where none is now.
    if (this.senders.accept(record, this.isGone(route) ? UNMATCHED : route, now))
      for (const one of this.#again) if (one.isDelivery()) this.#again.delete(one);
    const outcomes = this.of(route);
    outcomes.fates[fate]++;
    if (this.hasEpisode(now)) this.#pass(record, now);
    if (upstreamMs > Math.min(SLOW_MS, responseTimeout / 3) || departedMs >= AT_ONCE) {
      outcomes.slow.add(now);
      if (departedMs < 0 || fate === 'taken') outcomes.slowMs = Math.max(upstreamMs, departedMs);
    }
    if (fate === 'taken') {
      this.refusedSince = 0;
      this.#good(outcomes, record, now);
    } else if (fate === 'duplicate') outcomes.end(record);
    else this.#bad(route, record, fate === 'deferred' ? null : fate, now);
  }

  /** An accepted one passed where its route refuses, and the door that turned its address away. */
  #pass({ route, fate, client, connectionAddress }: RequestRecord, now: number) {
    for (const [path, outcomes] of this.#failing) {
      const verifies = (this.#configured?.get(path)?.action ?? 'verify') === 'verify' && outcomes.hasVerified;
      // Nothing else ends what a reload has left where `unmatched` verifies none, or a mistyped address that was corrected.
      const isLeft = path === UNMATCHED && fate === 'taken';
      for (const cause of outcomes.causes(now).values()) {
        const { isRefusal, lastAt, detail } = cause;
        const isHere = path === route || (detail.path === '' && detail.client === connectionAddress);
        // A duplicate may be an old event again: it shows nothing of those that were refused within an hour.
        const isSure = isRefusal && fate !== 'duplicate' && (isHere || !verifies);
        const isMet = isHere ? isRefusal : isLeft && (!verifies || detail.client === client);
        if (isMet && (isSure || now - lastAt >= HOUR)) cause.since++;
      }
    }
  }

  /** Called when a stored delivery was sent again. */
  sentAgain(sending: SentAgain, now = performance.now()): void {
    const record = { ...NONE, ...sending };
    if (record.fate === 'taken') this.#good(this.of(sending.route), record, now);
    else if (record.fate === 'duplicate') this.of(sending.route).end(record);
    else this.#bad(sending.route, { ...record, startedAt: now }, null, now);
  }

  /** Called before each judgement with the routes of what is stored; null while that is not known. */
  keepStored(routes: readonly string[] | null): void {
    // The route of what cannot be read is not known.
    if (routes === null || routes.includes('')) return;
    for (const [route, outcomes] of this.all) if (!routes.includes(route)) outcomes.endStored();
  }

  /** Called when a connection is ended before any answer. `address`: that of the connection. */
  turnAway(address: string, now = performance.now(), hint: Hint = OVERLOAD_HINTS.connections): void {
    const from = { client: address, connectionAddress: address, startedAt: now, hint };
    const connection = { ...NONE, userAgent: '', contentType: '', signed: false, ...from };
    if (hint.fromChecks !== true || !this.senders.isCheck(address, now))
      return this.#weigh(connection, this.senders.routeOf(connection, now), now);
    if (this.senders.accepted > 0) this.refusedSince++; // or it is a delivery beside others
    this.#count('others', '', connection, now);
  }

  #good(outcomes: RouteLedger, record: Detail, now: number): void {
    this.lastTaken = now;
    this.failedProbe = null;
    outcomes.addGood(record, now);
  }

  #bad(route: string, record: Detail, loss: LostEnd | null, now: number): void {
    if (loss !== null) this.lost++;
    const outcomes = this.of(route);
    this.#failing.set(route, outcomes);
    outcomes.addBad(diagnosisFor(record, true) ?? 'proxy-full', loss, record, now);
  }

  /** Counts a refused request, or a connection turned away, as a delivery or as not known to be one. */
  #weigh(record: Looks & Detail, ofLook: string | null, now: number): void {
    const { senders } = this;
    const isEarly = senders.accepted === 0;
    const { userAgent, contentType, connectionAddress, signed, event, renamedHeader } = record;
    const from = isUnread(record) ? senders.connections.find(connectionAddress) : undefined;
    // What no all-clear stands beside: also what could not be read from where deliveries come.
    if (event !== '' || renamedHeader !== null || from !== undefined) this.refusedSince++;
    if (ofLook !== null && !isEarly) return this.#refuseDelivery(record, ofLook, now);
    // Another protocol, as strangers speak it, too, from where only deliveries have come so far.
    const isOther = record.hint?.fromFront === false && from?.strange === 0;
    const isClaim = isSigned(record) || (!isEarly && (isOther || senders.connectionOf(record) !== undefined));
    const kind = isClaim ? 'claims' : this.#kindOf(record);
    const isOfRoute = isClaim || (kind === 'unsigned' && isEarly);
    const tally = this.#count(kind, isOfRoute ? this.#routeOf(record) : '', record, now, isClaim);
    if (!isEarly) senders.suspect(record, diagnosisFor(record, true) ?? 'proxy-full', now);
    if (!isEarly && !isClaim) return;
    const kept = { ...detailOf(record), userAgent, contentType, connectionAddress, signed };
    const first = [...this.#again].filter((one) => one.kind === kind).at(-AGAIN);
    if (first !== undefined) this.#again.delete(first);
    const isDelivery = () => {
      const route = senders.routeOf(kept, now);
      if (route !== null) tally.takeBack(now);
      if (route !== null) this.#refuseDelivery(kept, route, now);
      return route !== null;
    };
    this.#again.add({ kind, isDelivery });
  }

  /** Of what has no signature. Where deliveries are to come, a POST may be one that lost its header. */
  #kindOf(record: Looks & Detail): Kind {
    const { reason, route } = record;
    if (reason === 'none') return 'turnedAway';
    const isHere = reason === 'missing_signature' && (route !== UNMATCHED || this.#verified.length === 0);
    return isHere || isUnread(record) ? 'unsigned' : 'others';
  }

  #count(kind: Kind, route: string, record: Detail, now: number, isDelivery = false): Tally {
    const diagnosis = diagnosisFor(record, isDelivery) ?? 'proxy-full';
    const tally = tallyOf(entryOf(this.tallies[kind], route, newMap), diagnosis);
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

  /** What has the look and the address of a delivery is one, though nobody verified it. */
  #forward(record: RequestRecord, ofLook: string | null, now: number): void {
    const { route } = record;
    const outcomes = this.of(route);
    tallyOf(this.unverified, route).add('signed-unverified', record, now);
    // A forward route of one path is somebody's choice, unless a reload made it one.
    const mayBe = route === UNMATCHED || route.endsWith('*') || outcomes.hasVerified;
    if (mayBe && record.method === 'POST' && record.event !== '') outcomes.unverifiedDeliveries++;
    if (ofLook === null) return;
    this.#pass(record, now);
    const untaken = untakenBy(record, now);
    const loss = LOST_ENDS.find((end) => end === untaken?.detail.fate);
    if (untaken && loss) this.#bad(route, untaken.detail, loss, now);
    else outcomes.addGood(record, now);
  }

  /** What report mode let pass: why it would be refused, and if it may be a delivery, whether the app took it. */
  #report(record: RequestRecord, hasLook: boolean, now: number): void {
    const isDelivery = isSigned(record) || hasLook;
    const refusal = { ...detailOf(record), upstreamFailure: null, upstreamStatus: 0 };
    this.#count('reported', record.route, refusal, now, isDelivery);
    const untaken = isDelivery ? untakenBy({ ...detailOf(record), hint: null, reason: 'none' }, now) : null;
    if (untaken !== null) this.#count('untaken', record.route, untaken.detail, now);
  }
}

const newMap = () => new Map();
const newRoute = () => new RouteLedger();
const newTally = () => new Tally();
const tallyOf = <Key>(tallies: Map<Key, Tally>, key: Key) => entryOf(tallies, key, newTally);

/** True for a refused request that was sent to no route that takes requests, as far as is known. */
const wentAstray = ({ route, path, reason, rule }: Pick<Detail, 'route' | 'path' | 'reason' | 'rule'>) =>
  reason === 'route_rejected' || (route === UNMATCHED && (rule !== null || path === ''));

/** A delivery without a signature had one where it was sent. */
const diagnosisFor = (record: Detail, isDelivery: boolean): Diagnosis | null =>
  isDelivery && record.reason === 'missing_signature' ? 'signature-dropped' : diagnosisOf(record);

/** What the app did with a request that is no delivery; null if it took it. */
export function untakenBy(record: Detail, now: number) {
  const { upstreamFailure, upstreamStatus: status } = record;
  const fate = fateOf({ how: 'not stored', failed: upstreamFailure && 'upstream', status });
  if (!isUntaken(fate)) return null;
  const detail = { ...detailOf(record), fate };
  return { diagnosis: diagnosisOf(detail) ?? 'proxy-full', detail, times: 1, lastAt: now };
}

/** True for what every public port gets: GETs, other paths and methods, and clients that left, all without a signature. */
function isNoise(record: RequestRecord): boolean {
  const { reason, method, decision } = record;
  if (isSigned(record)) return reason === 'client_closed' && decision !== 'rejected';
  if (reason === 'missing_signature' || reason === 'bad_request') return method === 'GET' || method === 'HEAD';
  return reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed';
}
