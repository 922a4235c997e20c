// Advice on the state of the proxy: readiness, upstream, configuration and log.

import { reports } from '../core/routes.ts';
import type { Advice } from './advice.ts';
import { certificateAdvice, tlsRemedy } from './advice-certificates.ts';
import { PAGES } from './advice-pages.ts';
import { secretAdvice, withoutLiveSecret } from './advice-secrets.ts';
import type { RouteStatus, StatusSnapshot } from './status-snapshot.ts';
import { HOUR, spanText } from './times.ts';

/** What stops deliveries, or soon will. */
export function stateAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = [
    s.draining ? DRAINING : null,
    ...withoutLiveSecret(s),
    unreachable(s),
    ...s.certificates.map((certificate) => certificateAdvice(certificate, s.now)),
    s.upstream.exposed ? EXPOSED : null,
    onceStore(s),
    reload(s),
    notReady(s),
    connectionsFull(s),
  ];
  return found.filter((advice) => advice !== null);
}

/** What may stand for weeks, and must not hide what happens meanwhile. */
export function standingAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = [
    ...secretAdvice(s),
    ...s.routes.map((route) => reportMode(route, s.now)),
    ...s.config.warnings.map(configuration),
    droppedLines(s),
  ];
  return found.filter((advice) => advice !== null);
}

const DRAINING: Advice = {
  id: 'ready',
  state: 'warning',
  message: 'Draining: the proxy still serves but is not ready, so load balancers send requests elsewhere.',
  remedy: 'Nothing, if it is about to stop. The drain ends after 10 minutes without a SIGTERM.',
  page: PAGES.actions,
};

const EXPOSED: Advice = {
  id: 'exposed',
  state: 'warning',
  message: 'Clients can bypass the proxy and reach the upstream unverified.',
  remedy: 'Bind the upstream to 127.0.0.1, or close its port with a network policy.',
  page: PAGES.exposed,
};

function unreachable({ upstream: { url, reachable, error } }: StatusSnapshot): Advice | null {
  if (reachable) return null;
  const tls = error === null ? null : tlsRemedy(error);
  const why = error === null ? '' : ` (${error})`;
  return {
    id: 'upstream',
    state: 'failed',
    message:
      tls === null ? `The upstream ${url} accepts no connections${why}.` : `TLS to the upstream ${url} fails${why}.`,
    remedy: tls ?? 'Start it, or correct upstream.url.',
    page: PAGES.upstream,
  };
}

const STORE_REMEDY = 'Bring the store back, or correct once.store: the page has a remedy for each problem.';

function onceStore({ once }: StatusSnapshot): Advice | null {
  if (once === null || once.trouble === null) return null;
  const refuses = once.onStoreFailure === 'refuse';
  const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
  return {
    id: 'once',
    state: refuses ? 'failed' : 'warning',
    message: `The store of delivered events (${once.store}) fails: ${once.trouble}. Until it works again, ${effect}.`,
    remedy: /passwordFile|WRONGPASS|NOAUTH/.test(once.trouble) ? 'Correct once.passwordFile.' : STORE_REMEDY,
    page: PAGES.onceStore,
  };
}

function reload({ lastReload }: StatusSnapshot): Advice | null {
  const error = lastReload?.error ?? null;
  if (error === null) return null;
  return {
    id: 'reload',
    state: 'warning',
    message: `The last reload failed, so the previous configuration and secrets are still in use: ${error}`,
    remedy:
      'Correct it, and the proxy reloads by itself. check-config lists every mistake at once. A restart would fail.',
    page: PAGES.reload,
  };
}

function notReady(s: StatusSnapshot): Advice | null {
  if (s.ready || s.draining) return null;
  return {
    id: 'ready',
    state: 'warning',
    message: `Not ready${s.causes.length > 0 ? `: ${s.causes.join('; ')}` : ''}.`,
    remedy: 'Mend what it names: until then load balancers send no requests here.',
    page: PAGES.start,
  };
}

function reportMode(route: RouteStatus, now: number): Advice | null {
  if (!reports(route, now)) return null;
  return {
    id: 'report-mode',
    state: 'warning',
    message: `${route.path} only reports: it forwards requests that it would otherwise refuse.`,
    remedy: 'Set mode: enforce once no request is reported any more.',
    page: PAGES.reportMode,
  };
}

const CONFIGURATION = 'Change it in the configuration; check-config names the place.';

function configuration(warning: string): Advice {
  const message = `Configuration: ${warning}`;
  return { id: 'configuration', state: 'warning', message, remedy: CONFIGURATION, page: PAGES.configuration };
}

function droppedLines({ log: { dropped, lastDropped }, now }: StatusSnapshot): Advice | null {
  if (lastDropped === null || now - lastDropped > HOUR) return null;
  return {
    id: 'log',
    state: 'warning',
    message: `The log has gaps: standard output did not take ${dropped} lines since the start, the last one ${spanText(now - lastDropped)} ago.`,
    remedy: 'Make room where the log goes, or restart its reader. Metrics and this page count every request.',
    page: PAGES.log,
  };
}

function connectionsFull({ connections: { open, limit } }: StatusSnapshot): Advice | null {
  if (open < limit) return null;
  return {
    id: 'connections',
    state: 'warning',
    message: `All ${limit} connections are in use: a new client ends the one of a client that is idle or slow, or is turned away.`,
    remedy: 'Limit connections by address in front of the proxy, or raise limits.connections.',
    page: PAGES.full,
  };
}
