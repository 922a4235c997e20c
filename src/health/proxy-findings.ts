// Facts about the proxy that are wrong: readiness, upstream, configuration, certificates and log.
import { clockText } from '../core/keyring.ts';
import { diagnosisOfFailure } from '../core/request-diagnosis.ts';
import { reports } from '../core/routes.ts';
import type { CertificateFacts, Facts } from '../facts.ts';
import { datesOf } from './delivery-findings.ts';
import { type Finding, type Findings, finding } from './diagnoses.ts';
import { secretFindings, withoutLiveSecret } from './secret-findings.ts';
import type { Input } from './sentences.ts';
import { ago, DAY, dateText, HOUR, spanText } from './times.ts';

/** Problems that stop deliveries, or soon will. */
export function* stateFindings(input: Input): Findings {
  const s = input.facts;
  const { draining, upstream, lastReload, now } = s;
  if (draining) yield finding('warning', 'draining', DRAINING);
  yield* withoutLiveSecret(input);
  if (!upstream.reachable) yield unreachable(s);
  yield* s.certificates.map((certificate) => certificateFinding(certificate, now));
  if (upstream.exposed) yield finding('warning', 'exposed', EXPOSED);
  if (lastReload !== null && lastReload.error !== null) {
    const message = `The last reload failed ${ago(lastReload.at, now)}, so what it could not load is still in use as before (the configuration is of ${dateText(s.config.since)}): ${lastReload.error}`;
    const found = finding(lastReload.refused ? 'failed' : 'warning', 'reload-failed', message);
    yield lastReload.refused ? { ...found, causes: [] } : found; // secrets alone refuse no configuration
  }
  const causes = s.causes.length > 0 ? `: ${s.causes.join('; ')}` : '';
  if (!s.ready && !draining) yield finding('failed', 'not-ready', `Not ready${causes}.`);
  yield descriptors(s);
}

/** Findings that may hold for weeks. They come last among findings of the same state, so that they hide nothing newer. */
export function* standingFindings(input: Input): Findings {
  const s = input.facts;
  const { log, config, now } = s;
  const keys = config.awaitingRestart.join(', ');
  yield* secretFindings(input);
  for (const { path, reportUntil } of s.routes.filter((route) => reports(route, now))) {
    const end = reportUntil === null ? '' : ` until ${dateText(reportUntil)}`;
    yield finding('warning', 'report-mode', `${path} only reports${end}: ${REPORTS}`, path);
  }
  if (keys !== '') yield finding('warning', 'awaiting-restart', `Changed, but not in use before a restart: ${keys}.`);
  if (log.lastDropped !== null && now - log.lastDropped <= HOUR) {
    const message = `The log has gaps: standard output did not take ${log.dropped} lines since the start, the last one ${ago(log.lastDropped, now)}.`;
    yield finding('warning', 'log-gaps', message);
  }
  for (const text of config.warnings) yield finding('note', 'chosen', `Configuration: ${text}`);
}

const DRAINING = 'Draining: the proxy still serves but is not ready, so load balancers send requests elsewhere.';
const EXPOSED = 'Clients can bypass the proxy and reach the upstream unverified.';
const REPORTS = 'it forwards requests that it would otherwise refuse.';

/** The share of descriptors in use that is a warning, and how few are left when accepting fails. */
const MANY_DESCRIPTORS = 0.9;
const FEW_DESCRIPTORS = 4;

/** Out of descriptors, libuv accepts a connection and closes it at once, unseen by the proxy. */
function descriptors({ descriptors: files }: Facts): Finding | null {
  if (files === null || files.open < files.limit * MANY_DESCRIPTORS) return null;
  const message = `The process has ${files.open} of at most ${files.limit} file descriptors open: at that limit new connections are closed at once.`;
  return finding(files.open >= files.limit - FEW_DESCRIPTORS ? 'failed' : 'warning', 'descriptors-full', message);
}

function unreachable(facts: Facts): Finding {
  const { url, error } = facts.upstream;
  const id = diagnosisOfFailure('connect', error);
  const what = id === 'app-down' ? `The upstream ${url} accepts no connections` : `TLS to the upstream ${url} fails`;
  const dates = id === 'app-certificate-dates' ? ` ${datesOf(facts)}` : '';
  return finding('failed', id, `${what}${error === null ? '' : ` (${error})`}.${dates}`);
}

/** Clients are refused outside its dates. Before its end comes a warning, by its length: some live for a day. */
function certificateFinding(status: CertificateFacts, now: number): Finding | null {
  const { certificate, file, notBefore, notAfter } = status;
  const remaining = notAfter - now;
  const name = `The TLS certificate in ${file}`;
  const refuse = `${certificate === 'listen' ? 'clients that check it refuse' : 'the upstream refuses'} to connect.`;
  const early = `${name} is not valid before ${dateText(notBefore)}; ${clockText(now, dateText)}: ${refuse}`;
  if (now < notBefore) return finding('failed', 'certificate-early', early);
  const length = notAfter - notBefore;
  if (remaining >= Math.min(14 * DAY, length / 6)) return null;
  const end = dateText(notAfter);
  const ends = remaining > 0 ? `expires in ${spanText(remaining)}, at ${end}. From then on` : `expired at ${end}:`;
  const state = remaining < Math.min(HOUR, length / 24) ? 'failed' : 'warning';
  return finding(state, 'certificate-ends', `${name} ${ends} ${refuse}`);
}
