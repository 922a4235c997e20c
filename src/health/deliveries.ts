// The findings on the deliveries of each route: an episode of outcomes that fail, past losses, and an app that is
// slow or only redirects. A route is judged by its last deliveries, however old they are.
import type { Detail } from './detail.ts';
import { lossesOf, type OutcomeState, stateOf } from './outcomes.ts';
import {
  count,
  epoch,
  type Finding,
  type Findings,
  finding,
  type Input,
  named,
  quiet,
  since,
  unchangedSince,
  whatChanged,
  whyOf,
} from './sentences.ts';
import { LOSSES, type OutcomeDiagnosis, type Series } from './series.ts';
import { clock, QUARTER, spanText } from './times.ts';

/** This many slow answers or departed senders in a quarter of an hour make the app slow. */
const SLOW_ANSWERS = 5;
/** This many redirects in a row are no chance. */
const REDIRECTS = 3;

/** The state of each route's outcomes: the next judgement's `before`. */
export function statesOf({ ledger, before, now }: Omit<Input, 'facts'>): ReadonlyMap<string, OutcomeState> {
  return new Map(ledger.routes.map(([path, { series }]) => [path, stateOf(series, before.get(path) ?? 'ok', now)]));
}

export function* deliveryFindings(input: Input, states: ReadonlyMap<string, OutcomeState>): Findings {
  const { ledger, now } = input;
  for (const [path, { series }] of ledger.routes) {
    const state = states.get(path) ?? 'ok';
    if (state !== 'ok' && series.isOpen(now)) yield episode(path, series, state, input);
  }
  for (const [path, { series }] of ledger.routes) yield losses(path, series, input);
  for (const [path] of ledger.routes) {
    yield slowApp(path, input);
    yield redirects(path, input);
  }
}

function episode(path: string, series: Series, state: 'failed' | 'warning', input: Input): Finding {
  const { facts } = input;
  const { bads, all, firstBad, lastBad, lastGood } = series;
  const { diagnosis, detail } = series.commonest();
  const name = named(path, facts, detail);
  const began = epoch(input, firstBad);
  const some = `${bads} of ${count(all, 'delivery', 'deliveries')} to ${name} since ${clock(began, facts.now)}`;
  const which = bads < all ? some : `the last ${bads === 1 ? 'delivery' : `${bads} deliveries`} to ${name}`;
  const when = `${bads === 1 ? '' : 'the last time '}${since(input, lastBad)}`;
  const never = series.good === 0 ? ' The app has taken none since the start.' : '';
  const isDoor = diagnosis === 'connections-full';
  const isRefusal = detail.fate === 'none' && !isDoor;
  const elsewhere = isRefusal ? unchangedSince(epoch(input, lastGood), facts) : '';
  const why = isDoor ? ': limits.connections was reached' : isRefusal ? `: ${whyOf(detail, diagnosis)}` : '';
  const said = `${sentenceOf(which, diagnosis, detail, bads)}, ${when}${why}.`;
  const message = `${said}${never}${stored(series, input)}${whatChanged(began, facts)}${elsewhere}${quiet(input, Math.max(lastBad, lastGood || 0))}`;
  return finding(state, diagnosis, message, path);
}

function sentenceOf(which: string, diagnosis: OutcomeDiagnosis, detail: Detail, bads: number): string {
  const { fate, upstreamFailure, upstreamStatus, upstreamError, hint, departedMs } = detail;
  if (diagnosis === 'connections-full') return `Senders' connections were turned away: ${which}`;
  if (fate === 'none') return `${which.replace(/^t/, 'T')} ${bads === 1 ? 'was' : 'were'} refused`;
  const known = [upstreamFailure ?? [], upstreamError ?? hint?.text ?? []].flat().join(', ');
  const more = known === '' ? '' : ` (${known})`;
  if (fate === 'abandoned')
    return `The sender left${departedMs < 0 ? '' : `, after ${spanText(departedMs)},`} before the app answered ${which}${more}`;
  if (upstreamFailure !== null) return `The app gave no whole answer to ${which}${more}`;
  return `${upstreamStatus > 0 ? `The app answered ${upstreamStatus}` : 'The proxy answered 503'} to ${which}${more}`;
}

/** Says until when stored deliveries are not lost. */
function stored(series: Series, { facts: { deferred, now } }: Input): string {
  if (deferred === null || deferred.waiting === 0 || series.lastLoss >= series.firstBad) return '';
  if (deferred.lostLately > 0 || deferred.expired > 0) return '';
  const until = deferred.firstEnd === null ? '' : `, the first until ${clock(deferred.firstEnd.at, now)}`;
  return ` Nothing is lost yet: ${deferred.waiting} ${deferred.waiting === 1 ? 'waits' : 'wait'} to be sent again${until}.`;
}

const LOSS_TEXTS = {
  failed: 'failed',
  abandoned: 'abandoned by their sender',
  refused: 'refused',
  turnedAway: 'turned away',
};

function losses(path: string, series: Series, input: Input): Finding | null {
  const total = lossesOf(series, input.now);
  if (total === 0) return null;
  const kinds = LOSSES.flatMap((kind, nth) => {
    const amount = series.losses.sum(nth, input.now);
    return amount === 0 ? [] : `${amount} ${LOSS_TEXTS[kind]}`;
  });
  const message = `${count(total, 'delivery', 'deliveries')} of the last day to ${path} may be lost (${kinds.join(', ')}), the last one ${since(input, series.lastLoss)} (${series.lossDiagnosis}).`;
  return finding('warning', 'deliveries-lost', message, path);
}

function slowApp(path: string, { ledger, facts, now }: Input): Finding | null {
  const { slow, slowMs, departedMs } = ledger.of(path);
  const recent = slow.sum(0, now);
  if (recent < SLOW_ANSWERS) return null;
  const answered = slowMs < 0 ? [] : `it last answered after ${spanText(slowMs)}`;
  const departed = departedMs < 0 ? [] : `a sender last left after ${spanText(departedMs)}`;
  const message = `The app is slow on ${named(path, facts)}: ${recent} deliveries in ${spanText(QUARTER)} took long (${[answered, departed].flat().join('; ')}).`;
  return finding('warning', 'slow-app', message, path);
}

/** A redirect counts as taken, since senders may follow it; where nothing else comes, none may have arrived. */
function redirects(path: string, { ledger }: Input): Finding | null {
  const { redirects: amount, redirectStatus } = ledger.of(path).series;
  if (amount < REDIRECTS) return null;
  const message = `The app answered the last ${amount} deliveries to ${path} with redirects (${redirectStatus}): they count as taken, but a sender that follows none of them reaches nothing.`;
  return finding('warning', 'app-redirects', message, path);
}
