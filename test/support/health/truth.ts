// What a process can know of its deliveries, as the world knows it: the truth to which the judge is held.
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { BESIDE, type Outcome } from './worlds.ts';

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

/** Good ones in a row that may be the end of a fault. */
export const FEW_GOOD = 4;

/** Of an unread head and of a connection only the address is known. */
export type Needs = 'signed' | 'unsigned' | 'unread';

interface Known {
  /** When it came, and when its outcome was known. */
  readonly startedAt: number;
  readonly at: number;
  /** A stored delivery was sent again, or its sender tried again. */
  readonly isAgain: boolean;
  readonly isBad: boolean;
  /** It passed what refuses before the app. */
  readonly isVerified: boolean;
  readonly fault: number | null;
}

/** Of one fault: how many met it, and how many passed the point where it strikes, in all and since the last that met it. */
export interface Row {
  readonly isOfApp: boolean;
  /** The address of what was not read, the last time; else empty. */
  readonly door: string;
  readonly firstAt: number;
  readonly bad: number;
  good: number;
  since: number;
  lastAt: number;
}

/** The outcomes since a fault's first. */
export interface OfFault {
  readonly first: number;
  readonly badBefore: number;
  /** An episode of earlier ones may be open. */
  readonly hasEarlier: boolean;
  /** When the third bad one came, and the tenth. */
  third: number;
  tenth: number;
}

/** The pauses between acceptances: all, or those from one address. */
class Pauses {
  accepted = 0;
  #first = Number.NaN;
  last = Number.NaN;
  longest = 0;
  /** Refusals of deliveries that nothing proves, since the last acceptance and before it. */
  suspects = 0;
  before = 0;

  add(at: number): void {
    this.longest = Math.max(this.longest, at - this.last || 0);
    if (this.accepted++ === 0) this.#first = at;
    this.last = at;
    this.before += this.suspects;
    this.suspects = 0;
  }

  /** True once deliveries have stopped, as far as their pauses tell. */
  haveStopped(at: number): boolean {
    const silence = at - this.last;
    const isKnown = this.accepted >= 8 && this.last - this.#first >= DAY;
    return isKnown && silence > 15 * MINUTE && silence > 3 * this.longest;
  }
}

/** What the process can know, as the world knows it. It begins anew with a restart. */
export class Truth {
  readonly outcomes: Known[] = [];
  bad = 0;
  lastBad = -1;
  goodInRow = 0;
  readonly faults = new Map<number, OfFault>();
  readonly rows = new Map<number, Row>();
  readonly looks = new Set<string>();
  readonly addresses = new Set<string>();
  /** How many of others' requests came from each: there what has no look proves nothing. */
  readonly shared = new Map<string, number>();
  accepted = 0;
  lastLoss = Number.NEGATIVE_INFINITY;
  waiting = 0;
  /** Well-formed signatures that were refused since the app last took a delivery. */
  refusedSince = 0;
  /** Bad ones since the first that nothing has ended: stored ones, and those that were taken later. */
  #stored = 0;
  #lastGood = Number.NEGATIVE_INFINITY;
  readonly #again = new Set<number>();
  #taken = 0;
  /** Something was lost that nobody could tell from strangers. */
  hasUnknowable = false;
  lastUnknowable = Number.NEGATIVE_INFINITY;
  /** Bad ones in a row up to now, and when the second of them came. */
  badRun = 0;
  secondOfRun = 0;
  hadTwo = false;
  /** The first bad one since all was calm. */
  began = 0;
  /** Refusals from before the first acceptance. */
  readonly early: { readonly at: number; readonly look: string; readonly address: string; readonly needs: Needs }[] =
    [];
  /** When signed ones were refused that are not known to be deliveries. */
  readonly claims: number[] = [];
  readonly pauses = new Pauses();
  readonly ofAddress = new Map<string, Pauses>();

  /** After a reload that gave the route another path: its outcomes begin anew. */
  withoutRoute(): Truth {
    const { lastLoss, waiting, hasUnknowable, claims } = this;
    return Object.assign(new Truth(), { lastLoss, waiting, hasUnknowable, claims });
  }

  /** Of another route, which the senders use from now on. */
  ofOther(): Truth {
    const { looks, addresses, shared, accepted, pauses, ofAddress, refusedSince, lastUnknowable } = this;
    const known = { looks, addresses, shared, accepted, pauses, ofAddress, refusedSince, lastUnknowable };
    return Object.assign(this.withoutRoute(), known);
  }

  /** One was accepted on another route. `isLeft`: none is verified on this one any more. */
  passElsewhere({ fault, address }: Outcome, at: number, isLeft: boolean): void {
    const isSure = ({ isOfApp, lastAt }: Row) => !isOfApp || at - lastAt >= 60 * MINUTE;
    this.#pass((row) => row.door === address || (isLeft && fault === null && isSure(row)));
  }

  /** A stored one failed again: once the app has taken fresh ones, one or two such events speak for themselves alone. */
  failAgain({ fault, startedAt }: Outcome, at: number): void {
    const row = this.rows.get(fault ?? -1);
    if (row === undefined || fault === null) return;
    if (startedAt <= this.#lastGood && this.#again.size < 3 && this.#again.add(startedAt).size < 3) return;
    row.lastAt = at;
    row.since = 0;
    // Before it the fault may have been over.
    if (this.goodInRow > 8) this.faults.delete(fault);
    this.outcomes.push({ startedAt, at, isBad: true, fault, isAgain: true, isVerified: true });
    this.#addBad(fault, at);
  }

  #run(at: number): void {
    this.badRun++;
    if (this.badRun === 2) this.secondOfRun = at;
    if (this.badRun === 2) this.hadTwo = true;
  }

  /** How many signed ones of the last day are not known to be deliveries. */
  claimsOf(at: number, span = DAY): number {
    return this.claims.filter((one) => at - one < span).length;
  }

  addressOf(address: string): Pauses {
    const pauses = this.ofAddress.get(address) ?? new Pauses();
    this.ofAddress.set(address, pauses);
    return pauses;
  }

  #accept(look: string, address: string, connection: string, at: number, isHere = true): void {
    if (this.accepted === 0 || !this.addresses.has(connection)) this.#lookBack(look, address, connection);
    this.looks.add(look);
    this.accepted++;
    if (isHere) this.pauses.add(at);
    for (const one of new Set([address, connection])) {
      this.addresses.add(one);
      this.addressOf(one).add(at);
    }
  }

  /** True once it must be told that deliveries may be among what is refused: from their address, or in place of them. */
  haveStopped(at: number, strangers: string): boolean {
    const { suspects, before } = this.pauses;
    if (suspects >= 3 && before === 0 && strangers === 'none' && this.pauses.haveStopped(at)) return true;
    return [...this.ofAddress.values()].some((own) => own.suspects >= 3 && own.haveStopped(at));
  }

  add(outcome: Outcome, at: number, needs: Needs): void {
    const { fault, startedAt, look, address, connection, isStored, isVerified } = outcome;
    if (this.#isUnknowable(outcome, at, needs)) return;
    if (isVerified) this.#accept(look, address, connection, at);
    if (isStored) this.waiting += fault === null ? -1 : 1;
    if (isStored && fault === null && this.#stored > 0) this.#taken++;
    const isBad = fault !== null;
    this.outcomes.push({ startedAt, at, isBad, fault, isAgain: isStored && !isBad, isVerified });
    this.#meet(outcome, at, needs);
    if (fault === null) {
      this.#lastGood = at;
      if (startedAt === at || !isStored) this.#again.clear();
      else this.#again.delete(startedAt);
      this.goodInRow++;
      this.badRun = 0;
      return;
    }
    if (this.isSettled(at)) this.#stored = this.#taken = 0;
    this.#addBad(fault, at);
    if (isStored) this.#stored++;
    else this.lastLoss = at;
  }

  #pass(passes: (row: Row, nth: number) => boolean): void {
    for (const [nth, row] of this.rows) {
      if (!passes(row, nth)) continue;
      row.good++;
      row.since++;
    }
  }

  #meet({ fault, isVerified, address }: Outcome, at: number, needs: Needs): void {
    this.#pass((row, nth) => nth !== fault && (row.isOfApp ? fault === null : isVerified));
    if (fault === null) return;
    const { bad = 0, good = 0, firstAt = at } = this.rows.get(fault) ?? {};
    const door = needs === 'unread' ? address : '';
    this.rows.set(fault, { isOfApp: isVerified, door, firstAt, bad: bad + 1, good, since: 0, lastAt: at });
  }

  /** True for a refused delivery that nothing tells from a stranger's request. */
  #isUnknowable(outcome: Outcome, at: number, needs: Needs): boolean {
    const { fault, look, address, isVerified, isUnprovable, isProven, isFull } = outcome;
    if (isProven === true) this.addresses.add(address);
    if (isProven === true && this.accepted > 0) return false;
    const isHere = this.accepted > 0 && this.addresses.has(address);
    const few = isFull === true ? this.addressOf(address).accepted / 10 : 0;
    const isShared = isHere && needs === 'unread' && (this.shared.get(address) ?? 0) > few;
    const isKnown = isHere && !isShared && (needs === 'unread' || this.looks.has(look));
    if (isVerified || fault === null || (isKnown && isUnprovable !== true)) return false;
    this.hasUnknowable = true;
    this.lastUnknowable = at;
    if (needs === 'unsigned') this.#share(outcome.connection);
    if (needs === 'signed' || (isShared && !isUnprovable)) this.claims.push(at);
    this.#suspect(outcome, at, needs);
    return true;
  }

  #suspect({ look, address, isUnprovable }: Outcome, at: number, needs: Needs): void {
    if (this.accepted === 0) {
      this.early.push({ at, look: isUnprovable === true ? 'another' : look, address, needs });
    } else if (needs !== 'signed' && isUnprovable === true) {
      const pauses = needs === 'unread' ? this.addressOf(address) : this.pauses;
      pauses.suspects++;
    }
  }

  #addBad(fault: number, at: number): void {
    // Where there was another fault before, a few good ones in a row may be its end: what follows is counted anew.
    if (this.goodInRow >= FEW_GOOD && (this.faults.get(fault)?.badBefore ?? 0) > 0) this.faults.delete(fault);
    const isCalm = this.goodInRow >= 120 && at - (this.outcomes[this.lastBad]?.at ?? at) >= 2 * MINUTE;
    if (isCalm) this.hasUnknowable = false;
    if (isCalm || this.bad === 0) this.began = this.outcomes.length - 1;
    const hasEarlier = (this.bad > 0 && !isCalm) || this.hasUnknowable;
    this.goodInRow = 0;
    this.#run(at);
    this.lastBad = this.outcomes.length - 1;
    const never = { third: Number.POSITIVE_INFINITY, tenth: Number.POSITIVE_INFINITY };
    const known = this.faults.get(fault) ?? { first: this.lastBad, badBefore: this.bad, hasEarlier, ...never };
    this.faults.set(fault, known);
    this.bad++;
    const events = new Set(this.outcomes.slice(known.first).map((one) => (one.isBad ? one.startedAt : 0)));
    events.delete(0);
    if (events.size === 3) known.third = Math.min(known.third, at);
    if (events.size === 10) known.tenth = Math.min(known.tenth, at);
  }

  see({ fate, decision, event }: RequestRecord): void {
    if (fate === 'taken') this.refusedSince = 0;
    else if (decision === 'rejected' && event !== '') this.refusedSince++;
  }

  /** What is no delivery of its own; a twin of one was accepted all the same. */
  other(record: RequestRecord, at: number): void {
    const { signed, decision, userAgent, contentType, client, connectionAddress, method, reason, route } = record;
    const look = `${userAgent} ${contentType}`;
    if (route === BESIDE) return this.#accept(look, client, connectionAddress, at, false);
    const isHere = this.addresses.has(client);
    if (method !== '' && !signed && !this.looks.has(look)) this.#share(client);
    if (isHere && reason === 'header_too_large') this.claims.push(at);
    if (this.accepted === 0 && reason === 'header_too_large') this.turnAway(client, at);
    if (decision === 'duplicate') this.#accept(look, client, connectionAddress, at);
    // One may be an old event again.
    if (decision === 'duplicate') this.#pass((row) => !row.isOfApp && at - row.lastAt >= 60 * MINUTE);
    const last = this.rows.get(this.outcomes[this.lastBad]?.fault ?? -1);
    if (last !== undefined && last.since > this.goodInRow) this.badRun = 0;
    if (this.accepted === 0 && signed && decision === 'rejected')
      this.early.push({ at, look, address: client, needs: 'signed' });
    if (signed && decision === 'rejected') this.claims.push(at);
  }

  #share(address: string): void {
    if (this.accepted > 0 && !this.addresses.has(address)) return;
    this.shared.set(address, (this.shared.get(address) ?? 0) + 1);
  }

  /** A stranger's connection. */
  turnAway(address: string, at: number): void {
    if (this.accepted === 0) this.early.push({ at, look: '', address, needs: 'unread' });
    if (this.addresses.has(address)) this.claims.push(at);
  }

  /** Of a route that a reload has removed meanwhile. */
  addOld({ fault, look, address, connection, isVerified }: Outcome, at: number): void {
    if (isVerified) this.#accept(look, address, connection, at);
    if (fault !== null) this.lastLoss = at;
  }

  /** Each bad one was stored, none was lost, and all were taken later, more than a minute after the last bad one. */
  isSettled(at: number): boolean {
    const isOver = at - (this.outcomes[this.lastBad]?.at ?? at) > MINUTE + 1000;
    // What a fresh one replaced is known a moment later.
    if (!isOver || at - (this.outcomes.at(-1)?.at ?? at) < 1000) return false;
    return this.waiting === 0 && this.#stored > 0 && this.#taken >= this.#stored && this.lastLoss < 0;
  }

  /** Nothing has come for a day: what is known is old. */
  isOld(at: number): boolean {
    return at - Math.max(this.outcomes.at(-1)?.at ?? at, ...[...this.rows.values()].map(({ lastAt }) => lastAt)) > DAY;
  }

  /**
   * The last 16 bad ones with few good ones between them, or those of ten seconds if they are more, by fault, if most met one
   * by far.
   */
  lastFaults(): readonly (number | null)[] {
    const last: (number | null)[] = [];
    let good = 0;
    const end = this.outcomes[this.lastBad]?.at ?? 0;
    for (let nth = this.outcomes.length - 1; nth >= 0 && good <= 8; nth--) {
      const { at = 0, isBad = false, isAgain = false, fault = null } = this.outcomes[nth] ?? {};
      if (last.length >= 16 && end - at >= 10_000) break;
      good = isBad ? 0 : good + 1;
      if (isBad && !isAgain) last.push(fault);
    }
    const most = [...Map.groupBy(last, (fault) => fault)].find(
      ([, all]) => all.length >= Math.max(12, 0.75 * last.length),
    );
    return most === undefined ? [] : [most[0], ...last];
  }

  /** How many since the last that met it passed the point where it strikes: good ones in a row, or also duplicates. */
  passed(fault: number): number {
    return Math.max(this.goodInRow, this.rows.get(fault)?.since ?? 0);
  }

  /** True for what as many of the last 20 met as any other. */
  isCommonest(fault: number): boolean {
    const last = this.outcomes.slice(-20).filter(({ isBad }) => isBad);
    const met = Map.groupBy(last, (one) => one.fault);
    return (met.get(fault)?.length ?? 0) >= Math.max(1, ...[...met.values()].map(({ length }) => length));
  }

  /** The first acceptance shows which of the last signed refusals were deliveries, and the first from there which heads and connections. */
  #lookBack(look: string, address: string, connection: string): void {
    const last = (kind: Needs) => this.early.filter(({ needs }) => needs === kind).slice(-16);
    const all = [
      ...last('signed').filter((one) => this.accepted === 0 && one.look === look && one.address === address),
      ...last('unread').filter(
        (one) => one.look !== 'another' && one.address === connection && !this.shared.has(connection),
      ),
    ];
    this.lastLoss = Math.max(this.lastLoss, ...all.map(({ at }) => at));
  }

  /** Of how many that came where it strikes the last `bad` bad ones of a fault are: those known since the first of them. */
  since(bad: number, fault: number): number {
    const isOfApp = this.rows.get(fault)?.isOfApp !== false;
    const all = this.outcomes.filter((one) => !one.isAgain && !(one.isBad && !one.isVerified && isOfApp));
    const first = all.filter((one) => one.fault === fault).at(-bad);
    return all.length - (first === undefined ? 0 : all.indexOf(first));
  }

  /** The share of bad ones in the last quarter of an hour, or in the last hundred or ten seconds if those are more, since it began. */
  longShare(now: number): number {
    // What is sent again is not refused once more.
    const isOfApp = this.outcomes[this.lastBad]?.isVerified === true;
    const since = this.outcomes.slice(this.began).filter((one) => isOfApp || one.isBad || one.isVerified);
    const end = Math.min(now, (since.at(-1)?.at ?? now) - 10_000 + 15 * MINUTE);
    const from = since.findIndex(({ at }) => end - at < 15 * MINUTE);
    const long = since.slice(Math.min(from < 0 ? since.length : from, Math.max(0, since.length - 100)));
    return long.length < 100 ? 1 : long.filter(({ isBad }) => isBad).length / long.length;
  }

  /** The share of bad ones in the minute before the last outcome if it holds enough, else among the last outcomes. */
  get recentShare(): number {
    const now = this.outcomes.at(-1)?.at ?? 0;
    let from = this.outcomes.length;
    while (from > 0 && now - (this.outcomes[from - 1]?.at ?? 0) < MINUTE) from--;
    const recent = this.outcomes.slice(Math.min(from, Math.max(0, this.outcomes.length - 20)));
    return recent.filter(({ isBad }) => isBad).length / Math.max(1, recent.length);
  }
}
