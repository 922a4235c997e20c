// Advice on what the requests of late tell. A route that gets four deliveries an hour is judged by its last ones, however
// long ago they came: counts of minutes would call it well as soon as nothing comes.

import type { Reason } from '../core/decision.ts';
import { roomFor } from '../core/overload-hints.ts';
import { reports } from '../core/routes.ts';
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { signatureAdvice } from './advice-signatures.ts';
import { acceptedInAnHour, count, inAnHour, lately } from './amounts.ts';
import type { NotTaken, RouteTraffic } from './route-traffic.ts';
import type { RouteStatus, StatusSnapshot } from './status-snapshot.ts';
import { DAY, HOUR, MINUTE, spanText } from './times.ts';

export function trafficAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = [
    ...s.routes.flatMap((route) => notTaken(route, s) ?? someNotTaken(route, s) ?? []),
    upstreamFailing(s),
    ...signatureAdvice(s),
    ...Object.entries(LOSSES).map(([reason, loss]) => lossAdvice(reason as Reason, loss, s)),
    onlyDuplicates(s),
    undelivered(s),
    unsigned(s),
  ];
  return found.filter((advice) => advice !== null);
}

/** The app did not take the last deliveries of a route. */
function notTaken(route: RouteStatus, s: StatusSnapshot): Advice | null {
  const { traffic, path } = route;
  const amounts = Object.entries(traffic.notTaken) as [NotTaken, number][];
  const total = amounts.reduce((sum, [, amount]) => sum + amount, 0);
  const [most] = amounts.toSorted(([, a], [, b]) => b - a);
  if (most === undefined || total === 0 || traffic.lastNotTaken === null) return null;
  const which = total === 1 ? `the last delivery to ${path}` : `the last ${total} deliveries to ${path}`;
  if (overloadTells(route, total, s)) return null;
  const { what, remedy, page } = NOT_TAKEN[most[0]](which, route, s);
  const others = amounts.filter(([kind, amount]) => kind !== most[0] && amount > 0);
  const also = others.length === 0 ? '' : ` Of these, ${others.map(([kind, n]) => `${n} ${BRIEF[kind]}`).join(', ')}.`;
  const never = traffic.lastTaken === null ? ' The app has taken none since the start.' : '';
  return {
    id: 'deliveries',
    state: total > 1 || traffic.lastTaken === null ? 'failed' : 'warning',
    message: `${what}, ${total === 1 ? '' : 'the last time '}${spanText(s.now - traffic.lastNotTaken)} ago.${also}${never}`,
    remedy,
    page,
  };
}

/** The app takes some deliveries of a route, and not others. Failed ones are listed, and have advice of their own. */
function someNotTaken(route: RouteStatus, s: StatusSnapshot): Advice | null {
  const { lastNotTaken: at, lastNotTakenWhy: why } = route.traffic;
  if (at === null || why === null || why === 'failed' || s.now - at >= HOUR) return null;
  const { remedy, page } = NOT_TAKEN[why]('', route, s);
  const what = why === 'clientError' ? 'The app answered 4xx to' : 'The sender left before the app answered';
  const message = `${what} a delivery to ${route.path} ${spanText(s.now - at)} ago, and the app took others since.`;
  return { id: 'deliveries', state: 'warning', message, remedy, page };
}

/** True if the advice on overload says all of it. */
function overloadTells({ path }: RouteStatus, total: number, { undelivered, recent }: StatusSnapshot): boolean {
  const lost = undelivered.filter(({ route }) => route === path).slice(0, total);
  const isFull = lost.length > 0 && lost.every(({ cause }) => cause === 'overloaded');
  return isFull && (recent.signedReasons.overloaded ?? 0) >= total;
}

type Account = Readonly<Record<'what' | 'remedy' | 'page', string>>;

const NOT_TAKEN: Readonly<Record<NotTaken, (which: string, route: RouteStatus, s: StatusSnapshot) => Account>> = {
  failed: (which, { path, traffic }, { undelivered, upstream }) => {
    const speaksTls = tlsQuestion(traffic, upstream.url);
    const last = undelivered.find(({ route }) => route === path);
    if (last?.cause === '5xx') {
      return {
        what: `The app answered ${traffic.lastStatus} to ${which}, a failure for the sender`,
        remedy: 'Verification is not the cause: look at the log of the app. Then find the events again.',
        page: PAGES.appAnswers,
      };
    }
    if (last?.cause === 'overloaded') {
      const what = `The proxy answered 503 to ${which}: ${last.hint ?? FULL}`;
      return {
        what,
        remedy: `${roomFor(last.hint) ?? OVERLOADED_REMEDY} Then find the events again.`,
        page: PAGES.overloaded,
      };
    }
    const why = [last?.cause ?? [], last?.upstreamError ?? []].flat().join(', ');
    return {
      what: `The app gave no whole answer to ${which} (${why})`,
      remedy: `Verification is not the cause: look at the app and its log. Then find the events again.${speaksTls}`,
      page: PAGES.upstream,
    };
  },
  clientError: (which, { traffic }, { upstream }) => ({
    what: `The app answered ${traffic.lastStatus} to ${which}`,
    remedy: `Verification is not the cause. Does the app serve this path, and does it check something of its own, such as a token? Look at its log.${tlsQuestion(traffic, upstream.url)}`,
    page: PAGES.appAnswers,
  }),
  departed: (which) => ({
    what: `The sender left before the app answered ${which}`,
    remedy: 'Let the app answer first and work then. It may have processed what it got: check there.',
    page: PAGES.appAnswers,
  }),
};

/** An app that speaks TLS where we do not never takes a delivery: it closes the connection, or answers 400. */
function tlsQuestion({ lastTaken }: RouteTraffic, url: string): string {
  if (lastTaken !== null || !url.startsWith('http://')) return '';
  return ' If it speaks TLS on this port, write https:// in upstream.url.';
}

const BRIEF: Readonly<Record<NotTaken, string>> = {
  failed: 'failed',
  clientError: 'got 4xx from the app',
  departed: 'lost their sender before the answer',
};

function upstreamFailing(s: StatusSnapshot): Advice | null {
  const { upstreamFailures } = s.recent;
  if (!s.upstream.reachable || upstreamFailures === 0) return null;
  return {
    id: 'upstream',
    state: 'warning',
    message: `The upstream failed ${count(upstreamFailures, 'request')} ${lately(s)}. Verification is not the cause.`,
    remedy: 'Look at the log of the app.',
    page: PAGES.upstream,
  };
}

function undelivered(s: StatusSnapshot): Advice | null {
  const recent = s.undelivered.filter(({ at }) => s.now - at < DAY);
  const [last] = recent;
  if (last === undefined) return null;
  const many = recent.length >= 20 ? 'At least 20 deliveries' : count(recent.length, 'delivery', 'deliveries');
  const { cause, status, upstreamError, hint } = last;
  const why = cause === '5xx' ? `the app answered ${status}` : [cause, upstreamError ?? hint ?? []].flat().join(', ');
  const bridge =
    cause === 'connect' ? ' If the app was restarting, a longer upstream.retryConnectFor covers that.' : '';
  return {
    id: 'deliveries',
    state: 'warning',
    message: `${many} of the last day may be lost, the last one ${spanText(s.now - last.at)} ago (${why}): Entrupy documents no retry. The status page lists them.`,
    remedy: `${roomFor(hint) ?? 'Look at the log of the app.'} Then find the events again, and process them.${bridge}`,
    page: PAGES.findAgain,
  };
}

const FULL = 'the proxy was full';
const OVERLOADED_REMEDY = 'Is the app slow, or do bodies trickle in?';

type Loss = readonly [what: string, remedy: string, page?: string];

/** The status page lists clients; `check` does not. */
const YOURS = 'If you know their clients (status page), ';

/** Refused requests with a signature, which may be deliveries. Wrong signatures have advice of their own. */
const LOSSES: Partial<Readonly<Record<Reason, Loss>>> = {
  overloaded: ['got 503', OVERLOADED_REMEDY, PAGES.overloaded],
  no_live_secret: [
    'got 503 while no secret was live on their route',
    'Entrupy documents no retry: treat them as lost, and find the events again.',
    PAGES.noLiveSecret,
  ],
  bad_request: ['broke a rule', `${YOURS}something in front of the proxy changes their requests.`, PAGES.ingress],
  header_too_large: ['had a head larger than limits.maxHeader', `${YOURS}raise it.`],
  route_rejected: ['came to a path that is rejected', 'Is the address at Entrupy the one of your route?'],
  method_not_allowed: [
    'had a method that the route does not allow',
    'Is the address at Entrupy the one of your route?',
  ],
  multiple_signatures: ['had several signatures', `${YOURS}something in front of the proxy adds one.`],
  malformed_signature: ['had another form of signature', `${YOURS}their sender, or something in front, writes it so.`],
  unsupported_algorithm: ['had another algorithm', `${YOURS}their sender must sign with HMAC-SHA256.`],
  body_too_large: ['had a body larger than maxBody', `${YOURS}raise maxBody.`],
  body_timeout: ['did not send their body in time', `${YOURS}something in front is slow: raise limits.bodyTimeout.`],
  client_closed: [
    'ended early, since their client left',
    'Does something in front give up? Compare its timeouts.',
    PAGES.timeouts,
  ],
};

function lossAdvice(reason: Reason, [what, remedy, page = PAGES.refused]: Loss, s: StatusSnapshot): Advice | null {
  const amount = s.recent.signedReasons[reason] ?? 0;
  if (amount === 0) return null;
  const none = acceptedInAnHour(s) === 0;
  const { broken, cause, pass, instead } = explanation(reason, s);
  return {
    id: 'refusals',
    state: reason === 'overloaded' && failsMany(amount, s) ? 'failed' : 'warning',
    message: `${count(amount, 'signed request')} of the last hour ${what}${broken}${none ? ', and none was accepted' : ''}.${cause}`,
    remedy: `${instead ?? remedy}${pass}`,
    page,
  };
}

/** As the alert: more than one in a hundred, at least ten, or more than half. */
function failsMany(amount: number, s: StatusSnapshot): boolean {
  const share = amount / (amount + acceptedInAnHour(s));
  const last = s.refusals.find(({ reason }) => reason === 'overloaded')?.at ?? s.now;
  return share > 0.5 || (amount >= 10 && share > 0.01 && s.now - last < 10 * MINUTE);
}

/** What the last refusal with a hint tells of a reason: the rule that was broken, the cause, and what would let it pass. */
function explanation(reason: Reason, { refusals }: StatusSnapshot) {
  const {
    rule = null,
    header = null,
    hint = null,
  } = refusals.find((r) => r.reason === reason && r.hint !== null) ?? {};
  if (reason === 'overloaded') return { broken: `: ${hint ?? FULL}`, cause: '', pass: '', instead: roomFor(hint) };
  if (hint === null) return { broken: '', cause: '', pass: '' };
  if (rule === null) return { broken: '', cause: ` Likely cause: ${hint}.`, pass: '' };
  return {
    broken: ` (rule ${rule}${header === null ? '' : `, header ${header}`})`,
    cause: '',
    pass: ` To let them pass: ${hint}.`,
  };
}

/** Another app that shares the store may have got these events instead of ours. */
function onlyDuplicates(s: StatusSnapshot): Advice | null {
  const { hour } = s.recent;
  const duplicates = inAnHour(hour.duplicate);
  if (s.once === null || s.once.store === 'memory' || duplicates < 3 || inAnHour(hour.accepted) > 0) return null;
  return {
    id: 'once',
    state: 'warning',
    message: `All ${duplicates} deliveries of the last hour were duplicates, so none went to the app.`,
    remedy: 'If no other replica of this app got them, another app shares the store: give each its own once.name.',
    page: PAGES.once,
  };
}

const OTHERS: Partial<Readonly<Record<Reason, string>>> = {
  missing_signature: `Ignore them if you do not know their clients. If you do, something in front drops the signature's header.`,
  bad_request: `${YOURS}something in front of the proxy changes them.`,
  header_too_large: `${YOURS}raise limits.maxHeader, or remove lines that something in front adds.`,
  header_timeout: `${YOURS}raise limits.headersTimeout; scanners open connections and send nothing.`,
  overloaded: OVERLOADED_REMEDY,
};

function unsigned(s: StatusSnapshot): Advice | null {
  const found = (Object.keys(OTHERS) as Reason[]).map((reason) => [reason, s.recent.reasons[reason] ?? 0] as const);
  const refused = found.reduce((total, [, amount]) => total + amount, 0);
  const [most] = found.toSorted(([, a], [, b]) => b - a);
  if (most === undefined || refused === 0) return null;
  const [reason] = most;
  const { broken, cause, pass, instead } = explanation(reason, s);
  const { accepted, duplicate, noise } = s.recent;
  const fine = accepted + duplicate > 0 ? ` ${count(accepted + duplicate, 'delivery', 'deliveries')} got through.` : '';
  const isReported = s.recent.rejected === 0 && s.routes.some((route) => reports(route, s.now));
  const were = isReported ? 'would have been' : refused === 1 ? 'was' : 'were';
  return {
    id: 'refusals',
    state: 'warning',
    message: `${count(refused, 'request')} without a signature ${were} refused ${lately(s)}, mostly ${reason}${broken}${noise > 0 ? `, and ${noise} more, as on any public port` : ''}.${cause}${fine}`,
    remedy: `${instead ?? OTHERS[reason]}${pass}`,
    page: reason === 'overloaded' ? PAGES.overloaded : broken === '' ? PAGES.refused : PAGES.ingress,
  };
}

/** Whether the app has taken a delivery, for the all-clear. */
export function lastTaken(traffic: readonly RouteTraffic[]): number | null {
  return traffic.reduce<number | null>((last, route) => Math.max(last ?? 0, route.lastTaken ?? 0) || null, null);
}
