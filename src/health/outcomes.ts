// THE ONE RULE FOR SHARES: whether a route fails, by the outcomes of its deliveries. Four an hour and a hundred a second
// are judged alike, and nothing flips: a state is left later than it is reached.
import type { Counts } from './counts.ts';
import { LOSSES, type Series } from './series.ts';

export type OutcomeState = 'failed' | 'warning' | 'ok';

/** Milliseconds of the first bad outcome before anything counts as failed: an app that restarts needs a moment. */
export const SETTLE_MS = 10_000;
/** The window is the last minute, or the last quarter of an hour, if it holds enough; else the last outcomes. */
const MANY = { minute: 20, quarter: 60 };
/** Failed is reached at this share of bad outcomes, of which one is not counted, and left below the other. */
const REACHED = 1 / 5;
const LEFT = 1 / 20;
const LEAST_BAD = 3;
const FEW_GOOD = 6;

/** `before`: the state that this function gave last. */
export function stateOf(series: Series, before: OutcomeState, now: number): OutcomeState {
  if (!series.isOpen(now)) return lossesOf(series, now) > 0 ? 'warning' : 'ok';
  const isFailed = isReached(series, now) || (before === 'failed' && !isRare(series, now));
  return isFailed ? 'failed' : 'warning';
}

/** True while a bad outcome is too fresh to judge. */
export const isFresh = (series: Series, now: number): boolean =>
  series.isOpen(now) && now - series.firstBad < SETTLE_MS;

export function lossesOf({ losses }: Series, now: number): number {
  return LOSSES.reduce((sum, _, kind) => sum + losses.sum(kind, now), 0);
}

function isReached(series: Series, now: number): boolean {
  if (series.run >= 2 && now - series.secondOfRun >= SETTLE_MS) return true;
  if (isFresh(series, now)) return false;
  // Many good ones in a row never make it fail, however few outcomes the last minute has.
  return series.good === 0 || (series.since <= FEW_GOOD && isOften(series, now));
}

function isOften(series: Series, now: number): boolean {
  const { bad, all } = shareOf(series, series.lastMinute, MANY.minute, now);
  return bad >= LEAST_BAD && (bad - 1) / (all - 1) >= REACHED;
}

function isRare(series: Series, now: number): boolean {
  const { bad, all } = shareOf(series, series.lastQuarter, MANY.quarter, now);
  return bad / all < LEFT;
}

/** Outcomes from before the episode are in neither window. */
function shareOf(series: Series, window: Counts, enough: number, now: number): { bad: number; all: number } {
  const bad = window.sum(1, now);
  const all = bad + window.sum(0, now);
  if (all >= enough) return { bad, all };
  return { bad: series.badOfLast(enough), all: Math.min(enough, series.all) };
}
