// Runs a world through a judge, and holds what it says to the truth. Six properties; the fifth, that alerts agree with the
// pages, is with the alerts (test/rules).

import type { RedeliveryRecord } from '../../../src/core/fate.ts';
import type { DeliveryRecord, RequestRecord } from '../../../src/core/request-record.ts';
import type { Facts } from '../../../src/facts.ts';
import { isWrong } from '../../../src/health/judge.ts';
import { factsOf, NOTIFY, NOW } from '../../unit/metrics/fixtures.ts';
import { FAULTS, type FaultName, type Happening, happeningsIn, type Outcome, type World } from './worlds.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What is judged: a process. Times are milliseconds of the monotonic clock. */
export interface Subject {
  record(record: RequestRecord, now: number): void;
  deliver(record: DeliveryRecord, now: number): void;
  redelivered(record: RedeliveryRecord, now: number): void;
  turnAway(address: string, now: number): void;
  /** All that is said, the headline first. */
  look(facts: Facts, now: number): readonly Said[];
}
export interface Said {
  readonly id: string;
  readonly state: string;
  readonly route?: string | null;
}

const UNMATCHED = { ...NOTIFY, path: 'unmatched', action: 'reject' } as const;

/** Good ones in a row that may be the end of a fault. */
const FEW_GOOD = 4;

interface Known {
  readonly at: number;
  readonly isBad: boolean;
  readonly fault: number | null;
}

/** The outcomes since a fault's first. */
interface OfFault {
  readonly first: number;
  readonly badBefore: number;
  /** An episode of earlier ones may be open. */
  readonly hasEarlier: boolean;
  /** When the third bad one came, and the tenth. */
  third: number;
  tenth: number;
}

/** What the process can know, as the world knows it. It begins anew with a restart. */
class Truth {
  readonly outcomes: Known[] = [];
  bad = 0;
  lastBad = -1;
  goodInRow = 0;
  readonly faults = new Map<number, OfFault>();
  readonly looks = new Set<string>();
  readonly addresses = new Set<string>();
  accepted = 0;
  lastLoss = Number.NEGATIVE_INFINITY;
  waiting = 0;
  /** Something was lost that nobody could tell from strangers. */
  hasUnknowable = false;
  /** Bad ones in a row up to now, and when the second of them came. */
  badRun = 0;
  secondOfRun = 0;
  hadTwo = false;
  /** The first bad one since all was calm. */
  began = 0;
  /** Refusals from before the first acceptance. */
  readonly early: { readonly at: number; readonly look: string; readonly needs: 'look' | 'address' | 'both' }[] = [];

  add(outcome: Outcome, at: number, needs: 'look' | 'address' | 'both'): void {
    const { fault, look, address, isStored, isVerified } = outcome;
    const isKnown = (needs === 'address' || this.looks.has(look)) && (needs === 'look' || this.addresses.has(address));
    if (fault !== null && !isVerified && !isKnown) {
      this.hasUnknowable = true;
      if (this.accepted === 0 && needs !== 'address') this.early.push({ at, look, needs });
      return;
    }
    if (isVerified && this.accepted === 0) this.#lookBack(look);
    if (isVerified) {
      this.looks.add(look);
      this.addresses.add(address);
      this.accepted++;
    }
    if (isStored) this.waiting += fault === null ? -1 : 1;
    this.outcomes.push({ at, isBad: fault !== null, fault });
    if (fault === null) {
      this.goodInRow++;
      this.badRun = 0;
    } else this.#addBad(fault, at);
    if (fault !== null && !isStored) this.lastLoss = at;
  }

  #addBad(fault: number, at: number): void {
    // Where there was another fault before, a few good ones in a row may be its end: what follows is counted anew.
    if (this.goodInRow >= FEW_GOOD && (this.faults.get(fault)?.badBefore ?? 0) > 0) this.faults.delete(fault);
    const isCalm = this.goodInRow >= 120 && at - (this.outcomes[this.lastBad]?.at ?? at) >= 2 * MINUTE;
    if (isCalm) this.hasUnknowable = false;
    if (isCalm || this.bad === 0) this.began = this.outcomes.length - 1;
    const hasEarlier = (this.bad > 0 && !isCalm) || this.hasUnknowable;
    this.goodInRow = 0;
    this.badRun++;
    if (this.badRun === 2) this.secondOfRun = at;
    if (this.badRun === 2) this.hadTwo = true;
    this.lastBad = this.outcomes.length - 1;
    const never = Number.POSITIVE_INFINITY;
    const known = this.faults.get(fault) ?? {
      first: this.lastBad,
      badBefore: this.bad,
      hasEarlier,
      third: never,
      tenth: never,
    };
    this.faults.set(fault, known);
    this.bad++;
    if (this.bad - known.badBefore === 3) known.third = at;
    if (this.bad - known.badBefore === 10) known.tenth = at;
  }

  /** What is no delivery of its own; a twin of one was accepted all the same. */
  other({ signed, decision, userAgent: look }: RequestRecord, at: number): void {
    if (decision === 'duplicate') this.accepted++;
    if (this.accepted === 0 && signed && decision === 'rejected') this.early.push({ at, look, needs: 'look' });
  }

  /** The fault of the last bad one, if most of the last 16 met it by far; else null. */
  lastFaults(): number | null {
    const last = this.outcomes.filter(({ isBad }) => isBad).slice(-16);
    const fault = last.at(-1)?.fault ?? null;
    return last.filter((one) => one.fault === fault).length >= 12 ? fault : null;
  }

  /** The first acceptance shows which of the last signed refusals were deliveries. */
  #lookBack(look: string): void {
    const signed = this.early.filter(({ needs }) => needs === 'look').slice(-16);
    const last = signed.findLast((one) => one.look === look);
    if (last !== undefined) this.lastLoss = last.at;
  }

  /** The share of bad ones in the last quarter of an hour, or in the last hundred if those are more, since it began. */
  longShare(now: number): number {
    const since = this.outcomes.slice(this.began);
    const from = since.findIndex(({ at }) => now - at < 15 * MINUTE);
    const long = since.slice(Math.min(from < 0 ? since.length : from, Math.max(0, since.length - 100)));
    return long.length < 100 ? 1 : long.filter(({ isBad }) => isBad).length / long.length;
  }

  /** The share of bad ones in the last minute if it holds enough, else among the last outcomes. */
  recentShare(now: number): number {
    let from = this.outcomes.length;
    while (from > 0 && now - (this.outcomes[from - 1]?.at ?? 0) < MINUTE) from--;
    const recent = this.outcomes.slice(Math.min(from, Math.max(0, this.outcomes.length - 20)));
    return recent.filter(({ isBad }) => isBad).length / Math.max(1, recent.length);
  }
}

export interface Failure {
  readonly property: string;
  readonly at: number;
  readonly said: string;
}

/** Each moment at which a property does not hold; at most a few. */
export function failuresIn(world: World, process: () => Subject, mayStop = true): readonly Failure[] {
  const happenings = happeningsIn(world);
  const failures: Failure[] = [];
  let subject = process();
  let truth = new Truth();
  let step = 0;
  let lastLook = Number.NEGATIVE_INFINITY;
  let startedAt = 0;
  const flips = new Map<number | null, number>();
  let wasFailed = false;
  const lastBadAt = lastBads(happenings);
  const report = (property: string, at: number, said: readonly Said[]) =>
    failures.push({ property, at, said: said.map(({ id, state }) => `${state} ${id}`).join(', ') });

  function look(at: number): void {
    lastLook = at;
    const said = subject.look(factsAt(world, at, step, startedAt), at);
    const [headline = { id: '', state: '' }] = said;
    const ownFailed = said.some(({ state }) => state === 'failed');
    if (ownFailed !== wasFailed && truth.accepted > 0) {
      const fault = truth.outcomes[truth.lastBad]?.fault ?? null;
      flips.set(fault, (flips.get(fault) ?? 0) + 1);
    }
    wasFailed = ownFailed && truth.accepted > 0;
    check({ world, truth, at, headline, said, lastBadAt, fails: (property) => report(property, at, said) });
  }

  for (const [index, happening] of happenings.entries()) {
    apply(happening);
    const next = happenings[index + 1]?.at ?? happening.at + 20 * MINUTE;
    for (const seconds of pausesAfter(truth, happening, index)) {
      const at = Math.min(happening.at + seconds * SECOND, next - 0.5);
      if (at - lastLook >= SECOND) look(at);
    }
    if (mayStop && failures.length > 0) break;
  }
  const alone = world.faults.length === 1 && !world.restart && (world.faults[0]?.share ?? 0) >= 1 / 3;
  if (alone)
    for (const amount of flips.values())
      if (amount > 2) failures.push({ property: '4 steady: flips', at: 0, said: `${amount}` });
  return failures;

  function apply(happening: Happening): void {
    const { at } = happening;
    switch (happening.kind) {
      case 'restart':
        subject = process();
        truth = Object.assign(new Truth(), { waiting: truth.waiting });
        startedAt = at;
        wasFailed = false;
        return;
      case 'clock step':
        step += happening.by;
        return;
      case 'turned away':
        subject.turnAway(happening.address, at);
        if (happening.outcome !== null) truth.add(happening.outcome, at, 'address');
        return;
      case 'sent again':
        subject.redelivered(happening.record, at);
        truth.add({ ...happening.outcome, isVerified: false }, at, 'look');
        return;
      case 'request': {
        const { record, outcome } = happening;
        const { fate } = record;
        if (fate !== 'none' && fate !== 'pending') subject.deliver({ ...record, fate }, at);
        subject.record(record, at);
        if (outcome === null) truth.other(record, at);
        else truth.add(outcome, at, record.signed || record.renamedHeader !== null ? 'look' : 'both');
        return;
      }
      default:
        happening satisfies never;
    }
  }
}

/** The seconds after a happening at which the judge is asked: often near bad outcomes, now and then elsewhere. */
function pausesAfter({ lastBad, outcomes }: Truth, happening: Happening, index: number): readonly number[] {
  const isOutcome = 'outcome' in happening && happening.outcome !== null;
  const isTense = lastBad >= 0 && outcomes.length - lastBad < 30;
  if (isOutcome && isTense) return lastBad === outcomes.length - 1 ? [1, 10.5, 15.5, HOUR] : [61, HOUR];
  return index % 16 === 0 || index < 3 ? [1, HOUR] : [];
}

function factsAt(world: World, at: number, step: number, startedAt: number): Facts {
  const mode = world.report ? 'report' : 'enforce';
  const redeliver = world.redeliver ? 72 * 60 * MINUTE : null;
  return factsOf({
    now: NOW + at + step,
    startedAt: NOW + startedAt,
    routes: [{ ...NOTIFY, mode, redeliver }, UNMATCHED],
    deferred: null,
  });
}

/** When each fault's last outcome comes. */
function lastBads(happenings: readonly Happening[]): ReadonlyMap<number, number> {
  const last = new Map<number, number>();
  for (const happening of happenings)
    if ('outcome' in happening && happening.outcome?.fault != null) last.set(happening.outcome.fault, happening.at);
  return last;
}

interface Checked {
  readonly world: World;
  readonly truth: Truth;
  readonly at: number;
  readonly headline: Said;
  readonly said: readonly Said[];
  readonly lastBadAt: ReadonlyMap<number, number>;
  readonly fails: (property: string) => void;
}

function check(checked: Checked): void {
  const { world, truth, at, headline, said, fails } = checked;
  const isFailed = headline.state === 'failed';
  const early = truth.accepted > 0 ? [] : truth.early.filter(({ needs }) => needs === 'look');
  if (early.length > 0 && !said.some(isTold)) fails('1 no false all-clear: an early refusal');
  if (early.length >= 3 && !world.report && !isFailed) fails('1 no false all-clear: three early refusals');
  if (truth.lastBad >= 0) checkFault(checked, isFailed);
  if (at - truth.lastLoss < DAY && !said.some(isTold)) fails('1 no false all-clear: a loss');
  const lastBadAt = truth.outcomes[truth.lastBad]?.at ?? Number.NEGATIVE_INFINITY;
  const isQuiet = !truth.hasUnknowable && truth.accepted > 0 && truth.waiting === 0 && at - lastBadAt >= DAY + HOUR;
  if (isQuiet && isFailed) fails('2 no false alarm: failed');
  const least = Math.min(1, ...world.faults.map(({ share }) => share));
  const isMended = truth.lastLoss < 0 && truth.goodInRow >= 30 / least && at - lastBadAt >= 2 * MINUTE;
  const isAlone = world.strangers === 'none' && !world.report && !truth.hasUnknowable;
  if (isMended && isAlone && truth.waiting === 0 && headline.state !== 'ok') fails('6 it ends: all was taken');
  const usesRoom = world.strangers === 'slow bodies' || world.strangers === 'connections';
  const mayWarn = usesRoom || world.front || world.report;
  // What was stored and taken is no loss, but its episode ends only after some good ones.
  if (isQuiet && truth.lastBad < 0 && headline.state === 'warning' && !mayWarn) fails('2 no false alarm: warning');
}

function checkFault(checked: Checked, isFailed: boolean): void {
  const { truth, headline } = checked;
  const fault = truth.outcomes[truth.lastBad]?.fault ?? 0;
  const known = truth.faults.get(fault);
  if (known === undefined) return;
  if (headline.state !== 'ok') checkCause(checked);
  if (!isFailed) return checkMissed(checked, known, fault);
  checkCalm(checked, known);
}

/** Refusals from before the first acceptance may have been judged again, and opened the episode. */
const isEarlier = (truth: Truth, known: OfFault) => known.hasEarlier || truth.hasUnknowable;

/** The share of bad ones since the fault's first. */
const shareOf = (truth: Truth, known: OfFault) => (truth.bad - known.badBefore) / (truth.outcomes.length - known.first);

function checkMissed({ world, truth, at, lastBadAt, fails }: Checked, known: OfFault, fault: number): void {
  const { outcomes, bad, lastBad } = truth;
  if (truth.badRun >= 2 && at >= truth.secondOfRun + 15 * SECOND) fails('1 no false all-clear: two in a row');
  const isOnly = bad === outcomes.length && !truth.hasUnknowable;
  if (isOnly && at >= (outcomes[0]?.at ?? 0) + 15 * SECOND) fails('1 no false all-clear: the only ones so far');
  const isOn = at <= (lastBadAt.get(fault) ?? 0) || lastBad === outcomes.length - 1;
  if (!isOn) return;
  const hasEarlier = isEarlier(truth, known);
  const isMuch = !hasEarlier || (truth.goodInRow < FEW_GOOD && truth.recentShare(at) >= 1 / 3);
  if (at >= known.third + 15 * SECOND && shareOf(truth, known) >= 1 / 3 && isMuch)
    fails('1 no false all-clear: failed');
  const isAlone = world.faults.length === 1 && !hasEarlier && !world.restart;
  if (isAlone && (world.faults[0]?.share ?? 0) >= 1 / 3 && at >= known.tenth + 15 * SECOND)
    fails('4 steady: stays failed');
}

/** What must not be failed, or no more. */
function checkCalm({ world, truth, at, fails }: Checked, known: OfFault): void {
  const { outcomes, lastBad } = truth;
  const isFirst = !isEarlier(truth, known);
  if (isFirst && at < (outcomes[known.first]?.at ?? 0) + 10 * SECOND) fails('4 steady: failed at the first bad one');
  const all = outcomes.length - known.first;
  if (isFirst && all >= 100 && shareOf(truth, known) <= 1 / 50) fails('6 it ends: rare');
  const isRare = world.faults.length === 1 && world.faults.every(({ share, bursts }) => share <= 1 / 10 && !bursts);
  if (isFirst && isRare && !truth.hadTwo && known.first > 0) fails('6 it ends: it never began');
  if (truth.badRun < 2 && truth.longShare(at) <= 1 / 50) fails('6 it ends: rare by now');
  const least = Math.min(...world.faults.map((one) => one.share));
  const isLong = at - (outcomes[lastBad]?.at ?? 0) >= 6 * MINUTE;
  if (isLong && outcomes.length - 1 - lastBad >= 30 / least) fails('6 it ends: after good ones');
}

const isTold = (said: Said) => isWrong(said as never);

const ALWAYS = ['deliveries-lost', 'deferred-lost', 'deferred-waits', 'report-mode'];

function checkCause({ world, truth, headline, fails }: Checked): void {
  // Strangers behind a front may be a sender's new look, after a long silence: a warning that names their cause.
  if (headline.state === 'warning' && world.front && world.strangers !== 'none') return;
  const last = headline.state === 'failed' ? truth.lastFaults() : null;
  const met = last === null ? world.faults : [world.faults[last]].filter((one) => one !== undefined);
  const causes = met.flatMap(({ kind }) => FAULTS[kind as FaultName].causes as readonly string[]);
  const strangers = { 'slow bodies': 'bodies-full', connections: 'connections-full' }[world.strangers as string];
  if (![...causes, ...ALWAYS, strangers].includes(headline.id)) fails(`3 the right cause: ${headline.id}`);
}
