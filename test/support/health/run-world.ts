// Runs a world through a judge, and holds what it says to the truth. Nine properties; the fifth, that alerts agree with the
// pages, is with the alerts (test/rules).

import type { Hint } from '../../../src/core/hint.ts';
import type { DeliveryRecord, RequestRecord, SentAgain } from '../../../src/core/request-record.ts';
import { type RouteTable, UNMATCHED } from '../../../src/core/routes.ts';
import type { Facts } from '../../../src/facts.ts';
import { causesOf, type Diagnosis } from '../../../src/health/diagnoses.ts';
import { isWrong } from '../../../src/health/judge.ts';
import { tableOf } from '../../unit/core/fixtures.ts';
import { factsOf, NOTIFY, NOW } from '../../unit/fixtures.ts';
import { DAY, FEW_GOOD, MINUTE, type Needs, type OfFault, type Row, Truth } from './truth.ts';
import {
  BESIDE,
  FAULTS,
  type FaultKind,
  type FaultName,
  type Happening,
  happeningsIn,
  type Outcome,
  routing,
  type World,
} from './worlds.ts';

const SECOND = 1000;
const HOUR = 60 * MINUTE;

/** What is judged: a process. Times are milliseconds of the monotonic clock. */
export interface Subject {
  record(record: RequestRecord, now: number): void;
  deliver(record: DeliveryRecord, now: number): void;
  sentAgain(sending: SentAgain, now: number): void;
  turnAway(address: string, now: number, hint?: Hint): void;
  keepOnly(routes: RouteTable, now: number): void;
  /** All that is said, the headline first. */
  look(facts: Facts, now: number): readonly Said[];
}
export interface Said {
  readonly id: string;
  readonly state: string;
  readonly route?: string | null;
  readonly message?: string;
}

export interface Failure {
  readonly property: string;
  readonly at: number;
  readonly said: string;
}

/** Each moment at which a property does not hold; at most a few. */
export function failuresIn(world: World, process: () => Subject): readonly Failure[] {
  const happenings = happeningsIn(world);
  const run = new Run(world, process, happenings);
  for (const [index, happening] of happenings.entries()) {
    run.apply(happening);
    const next = happenings[index + 1]?.at ?? happening.at + 21 * DAY;
    const pauses = index === happenings.length - 1 ? LAST_PAUSES : pausesAfter(run.truth, happening, index);
    for (const seconds of pauses) run.look(Math.min(happening.at + seconds * SECOND, next - 0.5));
    if (run.failures.length > 0) return run.failures;
  }
  run.checkFlips();
  return run.failures;
}

const LAST_PAUSES = [1, 10.5, 15.5, 61, 20 * 60, 3600, 86_000, 4 * 86_400, 20 * 86_400];

class Run {
  readonly #world: World;
  readonly #process: () => Subject;
  readonly #lastBadAt: ReadonlyMap<number, number>;
  readonly failures: Failure[] = [];
  truth = new Truth();
  #subject: Subject;
  #step = 0;
  #startedAt = 0;
  #isAfter = false;
  /** Of the route that the senders used before. */
  #left: Truth | null = null;
  /** By address, and by look, the route on which the last one was accepted. */
  readonly #used = new Map<string, string>();
  #lastLook = Number.NEGATIVE_INFINITY;
  #wasFailed = false;
  /** Of what fails again after what may have been its end, each time anew. */
  readonly #flips = new Map<OfFault | undefined, number>();
  /** How many met each cause. */
  readonly #met = new Map<string, number>();

  constructor(world: World, process: () => Subject, happenings: readonly Happening[]) {
    this.#world = world;
    this.#process = process;
    this.#subject = process();
    this.#subject.keepOnly(this.#table(), 0);
    this.#lastBadAt = lastBads(happenings);
  }

  #table(): RouteTable {
    const { routes, unmatched } = routing(this.#world, this.#isAfter);
    return tableOf(routes, unmatched);
  }

  look(at: number): void {
    if (at - this.#lastLook < SECOND) return;
    this.#lastLook = at;
    const { truth } = this;
    const world = this.#world;
    const all = this.#subject.look(this.#factsAt(at), at);
    const { route: left } = routing(world, false);
    const hasLeft = this.#left !== null && truth.accepted > 0;
    const isLeft = ({ route, id }: Said) => hasLeft && route === left && id !== 'deliveries-lost';
    const isBeside = (one: Said) => one.route === BESIDE && isTold(one) && one.id !== 'report-mode';
    const said = all.filter((one) => !isLeft(one) && !isBeside(one));
    const headline = said.find(({ state }) => state !== 'note') ?? { id: '', state: 'ok' };
    const isFailed = said.some(({ state }) => state === 'failed');
    // Once all was taken later the next bad one begins anew; of the first ones nobody knows enough, and what is old ends.
    if (truth.isSettled(at)) this.#flips.clear();
    else if (isFailed !== this.#wasFailed && truth.accepted > 0 && truth.bad >= 3 && !truth.isOld(at)) {
      const nth = truth.outcomes[truth.lastBad]?.fault ?? -1;
      const fault = truth.faults.get(nth);
      if (!isFailed && wasOutage(truth.rows.get(nth), truth, at, leastAfter(world, nth))) this.#flips.clear();
      else this.#flips.set(fault, (this.#flips.get(fault) ?? 0) + 1);
    }
    const wasFailed = this.#wasFailed;
    this.#wasFailed = isFailed && truth.accepted > 0;
    const texts = said.map(({ id, state }) => `${state} ${id}`).join(', ');
    const fails = (property: string) => this.failures.push({ property, at, said: texts });
    for (const { id } of all.filter(isBeside)) fails(`2 no false alarm: ${id} on a route that is well`);
    if (headline.id === 'all-is-well' && truth.refusedSince > 0) fails('1 no false all-clear: nothing taken since');
    const labels = said.filter(({ id }) => id !== 'deliveries-lost').flatMap(({ route }) => route ?? []);
    const { routes } = routing(world, this.#isAfter);
    if (labels.some((one) => ![...routes, UNMATCHED].includes(one))) fails('8 a label is a route that is configured');
    for (const { id } of all.filter((one) => isLeft(one) && one.state === 'failed')) this.#checkLeft(id, at, fails);
    for (const { id, message = '' } of said) this.#checkNumbers(id, message, fails);
    check({ world, truth, at, headline, said: all, own: said, wasFailed, lastBadAt: this.#lastBadAt, fails });
  }

  /** What is left on the route that the senders used before. */
  #checkLeft(id: string, at: number, fails: (property: string) => void): void {
    const rows = this.#left === null ? [] : rowsOf(this.#world, this.#left, id);
    const isOver = (row: Row) => (this.#world.reload === 'taken' && row.isOfApp) || hasEnded(row, this.#world, at);
    if (rows.length > 0 && rows.every(isOver)) fails(`6 it ends: ${id}, which a reload has left`);
  }

  #checkNumbers(id: string, message: string, fails: (property: string) => void): void {
    const [, some, all, last] = /\b(?:(\d+) of (\d+)|the last (\d+)) deliveries/i.exec(message) ?? [];
    const bad = Number(some ?? last ?? 0);
    if (bad > (this.#met.get(id) ?? 0)) fails('9 each cause tells its own number');
    const [, took, passed] = /app took (\d+); this|refused (\d+) came through; this/.exec(message) ?? [];
    const { faults, restart, redeliver, again, reload } = this.#world;
    const [fault, other] = [...this.truth.rows.keys()].filter((nth) => causesOfFault(this.#world, nth).includes(id));
    if (fault === undefined || other !== undefined || this.truth.hasUnknowable) return;
    const [since, said] = [this.truth.rows.get(fault)?.since, Number(took ?? passed)];
    if (said >= 0 && reload === 'none' && said !== since) fails(`9 each cause tells its own row: ${said} of ${since}`);
    const isLate = redeliver || faults.some(({ kind }) => kind === 'hang' || kind === 'sender leaves');
    // What fails again after the end of its episode begins another.
    if (all === undefined || restart || (redeliver && again > 1) || (faults.length > 1 && isLate)) return;
    const known = this.truth.since(bad, fault);
    if (Number(all) !== known) fails(`9 of how many: ${known}`);
  }

  checkFlips(): void {
    const { faults, restart, reload } = this.#world;
    if (faults.length !== 1 || restart || reload !== 'none' || (faults[0]?.share ?? 0) < 1 / 3) return;
    const amount = Math.max(0, ...this.#flips.values());
    if (amount > 2) this.failures.push({ property: '4 steady: flips', at: 0, said: `${amount}` });
  }

  apply(happening: Happening): void {
    const { at, kind } = happening;
    if (kind === 'reload') {
      this.#isAfter = true;
      this.#subject.keepOnly(this.#table(), at);
      if (this.#world.reload !== 'path') this.#left = this.truth;
      this.truth = this.#left?.ofOther() ?? this.truth.withoutRoute();
    } else if (kind === 'restart') {
      this.#subject = this.#process();
      this.#subject.keepOnly(this.#table(), at);
      this.#used.clear();
      this.#met.clear();
      this.truth = Object.assign(new Truth(), { waiting: this.truth.waiting });
      this.#startedAt = at;
      this.#wasFailed = false;
    } else if (kind === 'clock step') this.#step += happening.by;
    else this.#record(happening);
  }

  #record(happening: Exclude<Happening, { kind: 'reload' | 'restart' | 'clock step' }>): void {
    const { at, kind, outcome } = happening;
    const { causes = [] } = FAULTS[this.#world.faults[outcome?.fault ?? -1]?.kind as FaultName] ?? {};
    for (const cause of causes) this.#met.set(cause, (this.#met.get(cause) ?? 0) + 1);
    if (kind === 'turned away') {
      this.#subject.turnAway(happening.address, at, happening.hint);
      if (outcome !== null)
        this.#add(outcome, at, 'unread', this.#left === null ? undefined : this.#used.get(outcome.address));
      else this.truth.turnAway(happening.address, at);
    } else if (kind === 'sent again') {
      this.#subject.sentAgain(happening.record, at);
      if (happening.record.fate === 'failed') this.truth.failAgain(outcome, at);
      else this.truth.add({ ...outcome, isVerified: false }, at, 'signed');
    } else {
      const { record } = happening;
      const { fate } = record;
      this.truth.see(record);
      if (fate !== 'none' && fate !== 'pending') this.#subject.deliver({ ...record, fate }, at);
      this.#subject.record(record, at);
      this.#use(record);
      if (outcome === null) this.truth.other(record, at);
      else this.#add(outcome, at, needsOf(record), this.#routeOf(record, outcome));
    }
  }

  #use({ fate, client, userAgent, contentType, route }: RequestRecord): void {
    if (fate === 'duplicate') for (const one of [client, `${userAgent} ${contentType}`]) this.#used.set(one, route);
  }

  /** The route on which it counts: its own, else that of its path, mistyped or not, else the one that its sender used last. */
  #routeOf({ fate, route, path }: RequestRecord, { address, look }: Outcome): string | undefined {
    if (fate !== 'none' || route !== UNMATCHED) return route;
    if (this.#left === null) return undefined;
    const place = [true, false]
      .map((isAfter) => routing(this.#world, isAfter))
      .find((one) => [one.path, one.path.replace('o', '')].includes(path));
    return place?.route ?? this.#used.get(path === '' ? address : look);
  }

  #add(outcome: Outcome, at: number, needs: Needs, route = routing(this.#world, this.#isAfter).route): void {
    const { address, look, isVerified } = outcome;
    const isOwn = route === routing(this.#world, this.#isAfter).route;
    if (isVerified) for (const one of [address, look]) this.#used.set(one, route);
    if (!isOwn && this.#left === null) return this.truth.addOld(outcome, at);
    const of = isOwn ? this.truth : this.#left;
    of?.add(outcome, at, needs);
    this.truth.lastLoss = Math.max(this.truth.lastLoss, of?.lastLoss ?? 0);
    if (isOwn && isVerified) this.#left?.passElsewhere(outcome, at, this.#world.reload === 'rejected');
  }

  #factsAt(at: number): Facts {
    const mode = this.#world.report ? 'report' : 'enforce';
    const redeliver = this.#world.redeliver ? 72 * HOUR : null;
    return factsOf({
      now: NOW + at + this.#step,
      startedAt: NOW + this.#startedAt,
      routes: this.#table().all.map(({ path, action }) => ({ ...NOTIFY, path, action, mode, redeliver })),
      deferred: null,
    });
  }
}

function needsOf({ method, signed, renamedHeader }: RequestRecord): Needs {
  if (method === '') return 'unread';
  return signed || renamedHeader !== null ? 'signed' : 'unsigned';
}

/** The seconds after a happening at which the judge is asked: often near bad outcomes, now and then elsewhere. */
function pausesAfter({ lastBad, outcomes }: Truth, happening: Happening, index: number): readonly number[] {
  const isOutcome = 'outcome' in happening && happening.outcome !== null;
  const isTense = lastBad >= 0 && outcomes.length - lastBad < 30;
  if (isOutcome && isTense) return lastBad === outcomes.length - 1 ? [1, 10.5, 15.5, HOUR] : [61, HOUR];
  return index % 16 === 0 || index < 3 ? [1, HOUR] : [];
}

/** When each fault's last outcome comes. */
function lastBads(happenings: readonly Happening[]): ReadonlyMap<number, number> {
  const last = new Map<number, number>();
  for (const happening of happenings)
    if (happening.kind !== 'sent again' && 'outcome' in happening && happening.outcome?.fault != null)
      last.set(happening.outcome.fault, happening.at);
  return last;
}

interface Checked {
  readonly world: World;
  readonly truth: Truth;
  readonly at: number;
  readonly headline: Said;
  /** All that is said, and what is said of the route that the senders use. */
  readonly said: readonly Said[];
  readonly own: readonly Said[];
  readonly wasFailed: boolean;
  readonly lastBadAt: ReadonlyMap<number, number>;
  readonly fails: (property: string) => void;
}

function check(checked: Checked): void {
  const { truth, at, headline, said, world, fails } = checked;
  const isFailed = headline.state === 'failed';
  const early = truth.accepted > 0 ? 0 : truth.early.filter(({ needs }) => needs === 'signed').length;
  const told = {
    'an early refusal': early > 0,
    'signed ones were refused': truth.claimsOf(at) >= 3,
    'deliveries stopped': truth.haveStopped(at, world.strangers),
    'a loss': at - truth.lastLoss < DAY,
  };
  if (!said.some(isTold)) for (const [what, is] of Object.entries(told)) if (is) fails(`1 no false all-clear: ${what}`);
  const lately = truth.early.filter((one) => one.needs === 'signed' && at - one.at < DAY).length;
  if (early >= 3 && lately >= 3 && !world.report && !isFailed) fails('1 no false all-clear: three early refusals');
  if (truth.isOld(at)) return checkOld(checked, isFailed);
  if (truth.isSettled(at) && isFailed && !truth.hasUnknowable) fails('6 it ends: all were taken later');
  if (truth.isSettled(at)) return;
  if (truth.lastBad >= 0) checkFault(checked, isFailed);
  checkQuiet(checked, isFailed);
}

/** Without faults for a day, or once all was taken. */
function checkQuiet({ world, truth, at, headline, fails }: Checked, isFailed: boolean): void {
  const lastBadAt = truth.outcomes[truth.lastBad]?.at ?? Number.NEGATIVE_INFINITY;
  const lastAt = Math.max(lastBadAt, truth.lastLoss);
  const isQuiet = !truth.hasUnknowable && truth.accepted > 0 && truth.waiting === 0 && at - lastAt >= DAY + HOUR;
  if (isQuiet && isFailed) fails('2 no false alarm: failed');
  const least = Math.min(1, ...world.faults.map(({ share }) => share));
  const isMended = truth.lastLoss < 0 && truth.goodInRow >= 30 / least && at - lastBadAt >= 2 * MINUTE;
  const isAlone = world.strangers === 'none' && !world.report && !truth.hasUnknowable;
  if (isMended && isAlone && truth.waiting === 0 && headline.state !== 'ok') fails('6 it ends: all was taken');
  const usesRoom = world.strangers === 'slow bodies' || world.strangers === 'connections';
  // Who sends POSTs in place of deliveries that have stopped may be a sender, if there were few such before.
  const isNew = truth.pauses.haveStopped(at) && world.crowd < 10;
  const isClaimed = truth.claimsOf(at, DAY + 2 * HOUR) > 0;
  const mayWarn = usesRoom || world.front || world.report || isNew || isClaimed;
  const isOver = [...truth.rows.values()].every(({ since }) => since > 8);
  if (isQuiet && isOver && headline.state === 'warning' && !mayWarn) fails('2 no false alarm: warning');
}

/** Of a route on which nothing comes any more: neither red for ever, nor all clear. */
function checkOld({ truth, at, headline, fails }: Checked, isFailed: boolean): void {
  if (isFailed && truth.accepted > 0 && at - truth.lastUnknowable > DAY) fails('7 what is old: failed');
  if (truth.badRun >= 2 && headline.state === 'ok') fails('7 what is old: all clear');
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

/** The share of bad ones since the fault's first, without those of others that may be over by now, or are a day old. */
function shareOf(truth: Truth, { first }: OfFault, fault: number, now: number): number {
  const { rows, outcomes } = truth;
  const mayBeOver = (row: Row) => row.since > 8 || now - row.lastAt > DAY || wasOutage(row, truth, now);
  const over = new Set<number | null>([...rows].flatMap(([nth, row]) => (nth !== fault && mayBeOver(row) ? nth : [])));
  const all = outcomes.slice(first).filter((one) => !over.has(one.fault));
  return all.filter(({ isBad }) => isBad).length / all.length;
}

function checkMissed({ world, truth, at, lastBadAt, fails }: Checked, known: OfFault, fault: number): void {
  const { outcomes, lastBad } = truth;
  if (truth.badRun >= 2 && at >= truth.secondOfRun + 15 * SECOND) fails('1 no false all-clear: two in a row');
  if (areOnly(truth, at, 15 * SECOND)) fails('1 no false all-clear: the only ones so far');
  const isOn = at <= (lastBadAt.get(fault) ?? 0) || lastBad === outcomes.length - 1;
  // Of what is sent again two speak for themselves alone, and three others make it failed.
  const areFew = outcomes[lastBad]?.isAgain === true && truth.waiting < 5;
  if (!isOn || areFew || wasOutage(truth.rows.get(fault), truth, at, leastAfter(world, fault))) return;
  const hasEarlier = isEarlier(truth, known);
  // Where a third is bad, eight good ones may come in a row; after more, the fault may be over.
  const passed = truth.passed(fault);
  const isMuch = hasEarlier ? passed < FEW_GOOD && truth.recentShare >= 1 / 3 : passed <= 8;
  if (at >= known.third + 15 * SECOND && shareOf(truth, known, fault, at) >= 1 / 3 && isMuch)
    fails('1 no false all-clear: failed');
  const isAlone = world.faults.length === 1 && !hasEarlier && !world.restart;
  if (isAlone && (world.faults[0]?.share ?? 0) >= 1 / 3 && at >= known.tenth + 15 * SECOND)
    fails('4 steady: stays failed');
}

/** True if none was taken so far, since so long. */
const areOnly = ({ bad, outcomes, hasUnknowable }: Truth, at: number, span: number) =>
  bad === outcomes.length && !hasUnknowable && at >= (outcomes[0]?.at ?? 0) + span;

/** What must not be failed, or no more. */
function checkCalm({ world, truth, at, own, wasFailed, fails }: Checked, known: OfFault): void {
  const { outcomes } = truth;
  const isFirst = !isEarlier(truth, known);
  if (isFirst && at < (outcomes[known.first]?.at ?? 0) + 10 * SECOND) fails('4 steady: failed at the first bad one');
  const isRare = world.faults.length === 1 && world.faults.every(({ share, clump }) => share <= 1 / 10 && clump === 5);
  if (isFirst && isRare && !truth.hadTwo && known.first > 0) fails('6 it ends: it never began');
  if (truth.badRun < 2 && truth.longShare(at) <= 1 / 50) fails('6 it ends: rare by now');
  for (const { id } of own.filter(({ state }) => state === 'failed')) {
    const rows = rowsOf(world, truth, id);
    const isFresh = rows.length > 0 && !truth.hasUnknowable && rows.every(({ firstAt }) => at - firstAt < 10 * SECOND);
    const isInRow = truth.badRun >= 2 && at >= truth.secondOfRun + 10 * SECOND;
    if (isFresh && !isInRow && !wasFailed && !areOnly(truth, at, 10 * SECOND))
      fails(`4 steady: ${id} failed at its first ones`);
    const isEnd = (row: Row) => hasEnded(row, world, at) || (rows.length === 1 && wasOutage(row, truth, at - MINUTE));
    if (rows.length > 0 && rows.every(isEnd)) fails(`6 it ends: ${id}, after good ones`);
    const isAlone = [...truth.rows.values()].every((row) => rows.includes(row) || isEnd(row));
    // What is sent again in vain says how the app is now.
    const isFreshOne = outcomes[truth.lastBad]?.isAgain !== true;
    if (rows.length > 0 && isAlone && isFreshOne && rows.every(isFew)) fails(`6 it ends: ${id}, rare`);
  }
}

/** The faults that are told as this. */
const rowsOf = (world: World, { rows }: Truth, id: string): readonly Row[] =>
  [...rows].flatMap(([nth, row]) => (causesOfFault(world, nth).includes(id) ? [row] : []));

function causesOfFault({ faults }: World, nth: number): readonly string[] {
  const kind: FaultKind | undefined = FAULTS[faults[nth]?.kind as FaultName];
  return kind?.causes ?? [];
}

const isFew = ({ bad, good }: Row) => bad + good >= 100 && bad / (bad + good) <= 1 / 50;

/** What hangs is known late, between good ones, so its share may be less than the fault's. */
function hasEnded({ bad, good, since, lastAt }: Row, { faults }: World, at: number): boolean {
  const least = Math.min(bad / (bad + good - since), ...faults.map(({ share }) => share));
  return at - lastAt >= 6 * MINUTE && since >= 30 / least;
}

/** The app accepts connections again. */
const leastAfter = ({ faults }: World, nth: number) => (faults[nth]?.kind === 'down' ? 3 : undefined);

/** One row of bad ones, and `least` good ones after it: as many, or four. A third that is bad looks so once in 45 times. */
function wasOutage(row: Row | undefined, { hasUnknowable, early }: Truth, at: number, least?: number): boolean {
  if (row === undefined || hasUnknowable || early.length > 0 || row.good !== row.since) return false;
  return row.bad > 1 && row.since >= (least ?? Math.max(4, row.bad)) && at - row.lastAt >= 15 * MINUTE;
}

/** The app accepted no connections, and since then it has failed otherwise. */
function hasComeBack({ faults }: World, { outcomes, lastBad }: Truth): boolean {
  const kindOf = (fault: number | null) => faults[fault ?? -1]?.kind;
  const { fault = null } = outcomes[lastBad] ?? {};
  const kind = kindOf(fault);
  if (kind === undefined || !['500', '404', '429', 'breaks', 'no HTTP'].includes(String(kind))) return false;
  const since = outcomes.find((one) => one.fault === fault)?.startedAt ?? 0;
  return !outcomes.some((one) => one.isBad && kindOf(one.fault) === 'down' && one.at >= since);
}

const isTold = (said: Said) => isWrong(said as never);

const ALWAYS = ['deliveries-lost', 'deferred-lost', 'deferred-waits', 'report-mode'];

function checkCause({ world, truth, at, headline, fails }: Checked): void {
  // Strangers behind a front may be a sender's new look, after a long silence: a warning that names their cause.
  const mayBeSenders = world.front || truth.pauses.haveStopped(at) || truth.claimsOf(at, DAY + 2 * HOUR) > 0;
  if (headline.state === 'warning' && mayBeSenders && world.strangers !== 'none') return;
  if (headline.id === 'app-down' && hasComeBack(world, truth)) fails('3 the right cause: the app answers since');
  const causesIn = (met: readonly (number | null)[]) =>
    met.flatMap((nth) => FAULTS[world.faults[nth ?? -1]?.kind as FaultName]?.causes ?? []);
  const [most = null, last = null, ...before] =
    headline.state === 'failed' && truth.accepted > 0 && truth.early.length === 0 ? truth.lastFaults() : [];
  // The commonest, also of the last 20, the last one, what may be red for a minute yet, what those met that the commonest let
  // pass to the app, once that may be over; and of the others, and of what is not over, what the commonest may follow from.
  const front = truth.rows.get(most ?? -1);
  const isPast = front?.isOfApp === false && front.since > 8;
  const isOpen = (row: Row) => !hasEnded(row, world, at);
  const isBehind = (row: Row) => isPast && row.isOfApp && isOpen(row);
  const recent = [...truth.rows].flatMap(([nth, row]) =>
    at - row.lastAt < MINUTE || isBehind(row) || truth.isCommonest(nth) || world.faults[nth]?.kind === 'poison'
      ? [nth]
      : [],
  );
  const right = most === null ? causesIn([...world.faults.keys()]) : causesIn([most, last, ...recent]);
  const open = [...truth.rows].flatMap(([nth, row]) => (isOpen(row) ? nth : []));
  const leads = (one: string) => right.some((id) => causesOf(id as Diagnosis).includes(one as Diagnosis));
  const strangers = { 'slow bodies': 'bodies-full', connections: 'connections-full' }[world.strangers as string];
  const causes = [...right, ...causesIn([...before, ...open]).filter(leads), ...ALWAYS, strangers];
  if (!causes.includes(headline.id)) fails(`3 the right cause: ${headline.id}`);
}
