// Runs a world through a judge, and holds what it says to the truth. Six properties; the fifth, that alerts agree with the
// pages, is with the alerts (test/rules).

import type { RedeliveryRecord } from '../../../src/core/redelivery-record.ts';
import type { DeliveryRecord, RequestRecord } from '../../../src/core/request-record.ts';
import type { Facts } from '../../../src/health/facts.ts';
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

  add(outcome: Outcome, at: number, needs: 'look' | 'address' | 'both'): void {
    const { fault, look, address, isStored, isVerified } = outcome;
    const isKnown = (needs === 'address' || this.looks.has(look)) && (needs === 'look' || this.addresses.has(address));
    if (fault !== null && !isVerified && !isKnown) {
      this.hasUnknowable = true;
      return;
    }
    if (isVerified) {
      this.looks.add(look);
      this.addresses.add(address);
      this.accepted++;
    }
    if (isStored) this.waiting += fault === null ? -1 : 1;
    this.outcomes.push({ at, isBad: fault !== null, fault });
    if (fault === null) {
      this.goodInRow++;
      return;
    }
    // Where there was another fault before, a few good ones in a row may be its end: what follows is counted anew.
    if (this.goodInRow >= FEW_GOOD && (this.faults.get(fault)?.badBefore ?? 0) > 0) this.faults.delete(fault);
    this.goodInRow = 0;
    if (!isStored) this.lastLoss = at;
    this.lastBad = this.outcomes.length - 1;
    const never = Number.POSITIVE_INFINITY;
    const known = this.faults.get(fault) ?? { first: this.lastBad, badBefore: this.bad, third: never, tenth: never };
    this.faults.set(fault, known);
    this.bad++;
    if (this.bad - known.badBefore === 3) known.third = at;
    if (this.bad - known.badBefore === 10) known.tenth = at;
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
        if (outcome !== null) truth.add(outcome, at, record.signed || record.renamedHeader !== null ? 'look' : 'both');
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
  if (truth.lastBad >= 0) checkFault(checked, isFailed);
  if (at - truth.lastLoss < DAY && !said.some(isTold)) fails('1 no false all-clear: a loss');
  const lastBadAt = truth.outcomes[truth.lastBad]?.at ?? Number.NEGATIVE_INFINITY;
  const isQuiet = !truth.hasUnknowable && truth.accepted > 0 && truth.waiting === 0 && at - lastBadAt >= DAY + HOUR;
  if (isQuiet && isFailed) fails('2 no false alarm: failed');
  const usesRoom = world.strangers === 'slow bodies' || world.strangers === 'connections';
  const mayWarn = usesRoom || world.front || world.report;
  // What was stored and taken is no loss, but its episode ends only after some good ones.
  if (isQuiet && truth.lastBad < 0 && headline.state === 'warning' && !mayWarn) fails('2 no false alarm: warning');
}

function checkFault({ world, truth, at, headline, lastBadAt, fails }: Checked, isFailed: boolean): void {
  const { outcomes, bad, lastBad } = truth;
  const last = outcomes[lastBad];
  const fault = last?.fault ?? 0;
  const known = truth.faults.get(fault);
  if (last === undefined || known === undefined) return;
  const all = outcomes.length - known.first;
  const share = (bad - known.badBefore) / all;
  if (headline.state !== 'ok') checkCause(world, headline, fails);
  const isOn = at <= (lastBadAt.get(fault) ?? 0) || lastBad === outcomes.length - 1;
  // Refusals from before the first acceptance may have been judged again, and opened the episode.
  const isEarlier = known.badBefore > 0 || truth.hasUnknowable;
  const isMuch = share >= 1 / 3 && (!isEarlier || (truth.goodInRow < FEW_GOOD && truth.recentShare(at) >= 1 / 3));
  if (isOn && at >= known.third + 15 * SECOND && isMuch && !isFailed) fails('1 no false all-clear: failed');
  const isAlone = world.faults.length === 1 && !isEarlier && !world.restart;
  const isOften = (world.faults[0]?.share ?? 0) >= 1 / 3;
  if (isAlone && isOften && isOn && at >= known.tenth + 15 * SECOND && !isFailed) fails('4 steady: stays failed');
  if (isFailed && all >= 100 && share <= 1 / 50 && !isEarlier) fails('6 it ends: rare');
  const least = Math.min(...world.faults.map((one) => one.share));
  const good = outcomes.length - 1 - lastBad;
  if (isFailed && good >= 30 / least && at - last.at >= 6 * MINUTE) fails('6 it ends: after good ones');
}

const isTold = (said: Said) => isWrong(said as never);

const ALWAYS = ['deliveries-lost', 'deferred-lost', 'deferred-waits', 'report-mode'];

function checkCause(world: World, headline: Said, fails: (property: string) => void): void {
  // Strangers behind a front may be a sender's new look, after a long silence: a warning that names their cause.
  if (headline.state === 'warning' && world.front && world.strangers !== 'none') return;
  const causes = world.faults.flatMap(({ kind }) => FAULTS[kind as FaultName].causes as readonly string[]);
  const strangers = { 'slow bodies': 'bodies-full', connections: 'connections-full' }[world.strangers as string];
  if (![...causes, ...ALWAYS, strangers].includes(headline.id)) fails(`3 the right cause: ${headline.id}`);
}
