// Advice on the state of the proxy: readiness, upstream, configuration, certificates and log.
import { clockText } from '../../core/keyring.ts';
import { diagnosisOfFailure } from '../../core/request-diagnosis.ts';
import { reports } from '../../core/routes.ts';
import type { CertificateStatus, StatusSnapshot } from '../snapshot.ts';
import { secretAdvice, withoutLiveSecret } from './secrets.ts';
import { ago, DAY, dateText, HOUR, spanText } from './times.ts';
import { type Finds, type Found, found } from './words.ts';

/** Problems that stop deliveries, or soon will. */
export function* stateAdvice(s: StatusSnapshot): Finds {
  const { draining, upstream, once, lastReload, connections, now } = s;
  if (draining) yield found('warning', 'draining', DRAINING);
  yield* withoutLiveSecret(s);
  if (!upstream.reachable) yield unreachable(upstream);
  yield* s.certificates.map((certificate) => certificateAdvice(certificate, now));
  if (upstream.exposed) yield found('warning', 'exposed', EXPOSED);
  if (once !== null && once.evicts !== null) {
    const message = `The store of delivered events (${once.store}) may forget them before their time: its maxmemory-policy is ${once.evicts}.`;
    yield found('warning', 'store-evicts', message);
  }
  if (once !== null && once.problem !== null) {
    const refuses = once.onStoreFailure === 'refuse';
    const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
    const message = `The store of delivered events (${once.store}) fails: ${once.problem}. Until it works again, ${effect}.`;
    yield found(refuses ? 'failed' : 'warning', 'once-store', message);
  }
  if (lastReload !== null && lastReload.error !== null) {
    const message = `The last reload failed ${ago(lastReload.at, now)}, so the previous configuration (of ${dateText(s.config.since)}) and secrets are still in use: ${lastReload.error}`;
    yield found('warning', 'reload-failed', message);
  }
  const causes = s.causes.length > 0 ? `: ${s.causes.join('; ')}` : '';
  if (!s.ready && !draining) yield found('warning', 'not-ready', `Not ready${causes}.`);
  if (connections.open >= connections.limit) {
    const message = `All ${connections.limit} connections are in use: a new client ends the one of a client that is idle or slow, or is turned away.`;
    yield found('warning', 'connections-full', message);
  }
}

/** Advice that may hold for weeks. It comes last among advice of the same state, so that it hides nothing newer. */
export function* standingAdvice(s: StatusSnapshot): Finds {
  const { log, config, now } = s;
  const keys = config.awaitingRestart.join(', ');
  yield* secretAdvice(s);
  for (const route of s.routes) {
    if (reports(route, now)) yield found('warning', 'report-mode', `${route.path} only reports: ${REPORTS}`);
  }
  if (keys !== '') yield found('warning', 'awaiting-restart', `Changed, but not in use before a restart: ${keys}.`);
  if (log.lastDropped !== null && now - log.lastDropped <= HOUR) {
    const message = `The log has gaps: standard output did not take ${log.dropped} lines since the start, the last one ${ago(log.lastDropped, now)}.`;
    yield found('warning', 'log-gaps', message);
  }
  for (const text of config.warnings) yield found('note', 'chosen', `Configuration: ${text}`);
}

const DRAINING = 'Draining: the proxy still serves but is not ready, so load balancers send requests elsewhere.';
const EXPOSED = 'Clients can bypass the proxy and reach the upstream unverified.';
const REPORTS = 'it forwards requests that it would otherwise refuse.';

function unreachable({ url, error }: StatusSnapshot['upstream']): Found {
  const id = diagnosisOfFailure('connect', error);
  const what = id === 'app-down' ? `The upstream ${url} accepts no connections` : `TLS to the upstream ${url} fails`;
  return found('failed', id, `${what}${error === null ? '' : ` (${error})`}.`);
}

/** A warning 14 days before a certificate ends, a failure three days before (as in the alerts) or if not valid yet. */
export function certificateAdvice(status: CertificateStatus, now: number): Found | null {
  const { certificate, file, notBefore, notAfter } = status;
  const remaining = notAfter - now;
  const name = `The TLS certificate in ${file}`;
  const refuse = `${certificate === 'listen' ? 'clients that check it refuse' : 'the upstream refuses'} to connect.`;
  const early = `${name} is not valid before ${dateText(notBefore)}; ${clockText(now, dateText)}: ${refuse}`;
  if (now < notBefore) return found('failed', 'certificate-early', early);
  if (remaining >= 14 * DAY) return null;
  const end = dateText(notAfter);
  const ends = remaining > 0 ? `expires in ${spanText(remaining)}, at ${end}. From then on` : `expired at ${end}:`;
  return found(remaining < 3 * DAY ? 'failed' : 'warning', 'certificate-ends', `${name} ${ends} ${refuse}`);
}
