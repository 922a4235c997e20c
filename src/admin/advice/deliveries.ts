// Advice on the fates of deliveries. A route is judged by its last deliveries, however old they are: where only four
// come in an hour, counts of the last minutes would be 0 most of the time, and say that all is well.
import { UNMATCHED } from '../../core/routes.ts';
import { SLOW_ANSWERS, SLOW_SPAN_MS } from '../route-traffic.ts';
import type { ShownRequest } from '../shown-request.ts';
import type { RouteStatus, StatusSnapshot } from '../snapshot.ts';
import { isVerified, signatureAdvice, unsignedAdvice } from './refusals.ts';
import { ago, DAY, HOUR, spanText } from './times.ts';
import { count, type Finds, type Found, found, named, pathsOf, quiet, whatChanged } from './words.ts';

/** The advice on refused requests has its places in between: of equally bad items the first is the headline. */
export function deliveryAdvice(s: StatusSnapshot): Finds {
  return [
    ...s.routes.map((route) => notTaken(route, s) ?? refusedSome(route, s)),
    ...s.routes.map((route) => unverified(route, s)),
    ...signatureAdvice(s),
    lost(s),
    ...s.routes.map((route) => slowApp(route, s)),
    ...unsignedAdvice(s),
  ];
}

/** The app did not take the last deliveries of a route. */
function notTaken(route: RouteStatus, s: StatusSnapshot): Found | null {
  const { traffic } = route;
  const { lastNotTaken: last, notTakenSince: since, lastTaken } = traffic;
  const total = traffic.notTaken;
  if (total === 0 || last === null || since === null) return null;
  const which = `the last ${total === 1 ? 'delivery' : `${total} deliveries`} to ${named(route)}`;
  const never = lastTaken === null ? ' The app has taken none since the start.' : '';
  const when = `${total === 1 ? '' : 'the last time '}${ago(last.at, s.now)}`;
  const message = `${said(last, traffic.slow.departedMs)} ${which}${detailOf(last)}, ${when}.${never}${whatChanged(since, last.at, s)}${quiet(last.at, route, s.now)}`;
  return { id: last.diagnosis ?? 'proxy-full', state: total > 1 || lastTaken === null ? 'failed' : 'warning', message };
}

function said({ fate, upstreamStatus, upstreamFailure }: ShownRequest, departedMs: number | null): string {
  const after = departedMs === null ? '' : `, after ${spanText(departedMs)},`;
  if (fate === 'abandoned') return `The sender left${after} before the app answered`;
  if (upstreamFailure !== null) return 'The app gave no whole answer to';
  return upstreamStatus > 0 ? `The app answered ${upstreamStatus} to` : 'The proxy answered 503 to';
}

function detailOf({ upstreamFailure, upstreamError, hint }: ShownRequest): string {
  const known = [upstreamFailure ?? [], upstreamError ?? hint ?? []].flat();
  return known.length === 0 ? '' : ` (${known.join(', ')})`;
}

/** The app refused a delivery to a route in the last hour, but has taken others since. Failed ones are in `lost`. */
function refusedSome(route: RouteStatus, s: StatusSnapshot): Found | null {
  const { lastRefused: last, slow } = route.traffic;
  if (last === null || s.now - last.at >= HOUR) return null;
  const message = `${said(last, slow.departedMs)} a delivery to ${named(route)} ${ago(last.at, s.now)}, and took others since.`;
  return found('warning', last.diagnosis ?? 'proxy-full', message);
}

/** Its state is `failed` only if no delivery was verified in the last day, since any stranger can send a signature. */
function unverified({ path, traffic: { unverified: found } }: RouteStatus, s: StatusSnapshot): Found | null {
  if (found === null || s.now - found.at >= DAY) return null;
  const verified = pathsOf(s.routes.filter(({ action }) => action === 'verify').slice(0, 3));
  const message = `${count(found.count, 'request')} with a signature ${found.count === 1 ? 'was' : 'were'} forwarded without a look at it, the last to ${found.path} ${ago(found.at, s.now)}; verified is ${verified || 'none'}: is your route's path right?`;
  const onUnmatched = s.routes.some((route) => isVerified(route, s)) ? 'warning' : 'failed';
  const state = path !== UNMATCHED || found.wellFormed === 0 ? 'note' : onUnmatched;
  return { id: 'signed-unverified', state, message };
}

function lost(s: StatusSnapshot): Found | null {
  const { failed, abandoned } = s.lost;
  const [last] = s.undelivered;
  if (failed + abandoned === 0 || last === undefined) return null;
  const why = [last.cause, last.upstreamError ?? last.hint ?? []].flat().join(', ');
  const kinds = [failed > 0 ? `${failed} failed` : [], abandoned > 0 ? `${abandoned} abandoned by their sender` : []];
  const message = `${count(failed + abandoned, 'delivery', 'deliveries')} of the last day may be lost (${kinds.flat().join(', ')}), the last one ${ago(last.at, s.now)} (${why}).`;
  return found('warning', failed === 0 ? 'sender-leaves' : 'deliveries-lost', message);
}

function slowApp(route: RouteStatus, s: StatusSnapshot): Found | null {
  const { slow } = route.traffic;
  const recent = slow.times.filter((at) => s.now - at < SLOW_SPAN_MS);
  if (recent.length < SLOW_ANSWERS) return null;
  const answered = slow.answerMs === null ? [] : `it last answered after ${spanText(slow.answerMs)}`;
  const departed = slow.departedMs === null ? [] : `a sender last left after ${spanText(slow.departedMs)}`;
  const message = `The app is slow on ${named(route)}: ${SLOW_ANSWERS} deliveries in ${spanText(SLOW_SPAN_MS)} took long (${[answered, departed].flat().join('; ')}).`;
  return found('warning', 'slow-app', message);
}
