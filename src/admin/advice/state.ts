// Advice on the state of the proxy: readiness, upstream, configuration, certificates and log.

import { clockText } from '../../core/keyring.ts';
import { diagnosisOfFailure } from '../../core/request-diagnosis.ts';
import { reports } from '../../core/routes.ts';
import type { CertificateStatus, StatusSnapshot } from '../snapshot.ts';
import { secretAdvice, withoutLiveSecret } from './secrets.ts';
import { ago, DAY, dateText, HOUR, spanText } from './times.ts';
import { type Finds, type Found, found } from './words.ts';

/** Problems that stop deliveries, or soon will. */
export function stateAdvice(s: StatusSnapshot): Finds {
  const { draining, ready, causes, connections, once } = s;
  const why = causes.length > 0 ? `: ${causes.join('; ')}` : '';
  return [
    draining && found('warning', 'draining', DRAINING),
    ...withoutLiveSecret(s),
    !s.upstream.reachable && unreachable(s.upstream),
    ...s.certificates.map((certificate) => certificateAdvice(certificate, s.now)),
    s.upstream.exposed &&
      found('warning', 'exposed', 'Clients can bypass the proxy and reach the upstream unverified.'),
    once !== null && once.problem !== null && onceFails(once),
    reloadFailed(s),
    !ready && !draining && found('warning', 'not-ready', `Not ready${why}.`),
    connections.open >= connections.limit && found('warning', 'connections-full', full(connections.limit)),
  ];
}

/** Advice that may stand for weeks, and must not hide what happens meanwhile. */
export function standingAdvice(s: StatusSnapshot): Finds {
  const { awaitingRestart: keys, warnings } = s.config;
  const reporting = s.routes.filter((route) => reports(route, s.now));
  return [
    ...secretAdvice(s),
    ...reporting.map(({ path }) => found('warning', 'report-mode', `${path} only reports: ${REPORTS}`)),
    keys.length > 0 &&
      found('warning', 'awaiting-restart', `Changed, but not in use before a restart: ${keys.join(', ')}.`),
    logGaps(s),
    ...warnings.map((text) => found('note', 'chosen', `Configuration: ${text}`)),
  ];
}

const DRAINING = 'Draining: the proxy still serves but is not ready, so load balancers send requests elsewhere.';
const REPORTS = 'it forwards requests that it would otherwise refuse.';

const full = (limit: number) =>
  `All ${limit} connections are in use: a new client ends the one of a client that is idle or slow, or is turned away.`;

function reloadFailed({ lastReload, config, now }: StatusSnapshot): Found | null {
  if (lastReload === null || lastReload.error === null) return null;
  const message = `The last reload failed ${ago(lastReload.at, now)}, so the previous configuration (of ${dateText(config.since)}) and secrets are still in use: ${lastReload.error}`;
  return found('warning', 'reload-failed', message);
}

function logGaps({ log: { dropped, lastDropped }, now }: StatusSnapshot): Found | null {
  if (lastDropped === null || now - lastDropped > HOUR) return null;
  const message = `The log has gaps: standard output did not take ${dropped} lines since the start, the last one ${ago(lastDropped, now)}.`;
  return found('warning', 'log-gaps', message);
}

function unreachable({ url, error }: StatusSnapshot['upstream']): Found {
  const id = diagnosisOfFailure('connect', error);
  const what = id === 'app-down' ? `The upstream ${url} accepts no connections` : `TLS to the upstream ${url} fails`;
  return found('failed', id, `${what}${error === null ? '' : ` (${error})`}.`);
}

function onceFails({ store, problem, onStoreFailure }: NonNullable<StatusSnapshot['once']>): Found {
  const refuses = onStoreFailure === 'refuse';
  const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
  const message = `The store of delivered events (${store}) fails: ${problem}. Until it works again, ${effect}.`;
  return found(refuses ? 'failed' : 'warning', 'once-store', message);
}

/** As the alerts: before its end there are 14 days to act, and the last three are urgent. Null before. */
export function certificateAdvice(status: CertificateStatus, now: number): Found | null {
  const { certificate, file, notBefore, notAfter } = status;
  const remaining = notAfter - now;
  const end = dateText(notAfter);
  const name = `The TLS certificate in ${file}`;
  const refuse = `${certificate === 'listen' ? 'clients that check it refuse' : 'the upstream refuses'} to connect.`;
  const early = `${name} is not valid before ${dateText(notBefore)}; ${clockText(now, dateText)}: ${refuse}`;
  if (now < notBefore) return found('failed', 'certificate-early', early);
  if (remaining >= 14 * DAY) return null;
  const when = `expires in ${spanText(remaining)}, at ${end}. From then on`;
  const message = `${name} ${remaining > 0 ? when : `expired at ${end}:`} ${refuse}`;
  return found(remaining < 3 * DAY ? 'failed' : 'warning', 'certificate-ends', message);
}
