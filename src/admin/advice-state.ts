// Advice on what the proxy is: its secrets, certificates, upstream, configuration and log.
import { currentOf, isPrevious } from '../core/keyring.ts';
import { reports } from '../core/routes.ts';
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { spanText } from './html.ts';
import { dateText } from './phrases.ts';
import type { CertificateStatus, RouteStatus, SecretStatus, StatusSnapshot } from './status-snapshot.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export function stateAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = [
    s.draining ? DRAINING : null,
    ...s.routes.map((route) => noLiveSecret(route, s)),
    unreachable(s),
    ...s.certificates.map((certificate) => certificateAdvice(certificate, s.now)),
    s.upstream.exposed ? EXPOSED : null,
    onceStore(s),
    reload(s),
    notReady(s),
    ...s.secrets.map((secret) => secretAdvice(secret, s)),
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

function noLiveSecret(route: RouteStatus, s: StatusSnapshot): Advice | null {
  if (route.action !== 'verify' || route.liveSecrets > 0) return null;
  const ours = s.secrets.filter(({ id }) => route.secretIds.includes(id));
  const remedies = ours.flatMap((secret) => outsideRemedy(secret, s.now));
  const remedy = remedies.length > 0 ? remedies.join(' ') : valueRemedy(route);
  const only = reports(route, s.now);
  const effect = only ? 'so nothing there is verified' : 'so senders get 503';
  const message = `No secret is live on ${route.path}, ${effect}.`;
  return { id: 'secrets', state: only ? 'warning' : 'failed', message, remedy, page: PAGES.noLiveSecret };
}

/** Dates are compared with this machine's clock, which may be the one that is wrong. */
function outsideRemedy({ id, state, notBefore, notAfter }: SecretStatus, now: number): string[] {
  const clock = `The clock of this machine says ${dateText(now)}: if that is wrong, set the clock; if it is right,`;
  if (state === 'not_yet') {
    return [`Secret ${id} is valid from ${dateText(notBefore)} on. ${clock} correct its notBefore.`];
  }
  if (state !== 'expired') return [];
  return [`Secret ${id} expired at ${dateText(notAfter)}. ${clock} add its successor, or correct its notAfter.`];
}

function valueRemedy({ secretIds }: RouteStatus): string {
  if (secretIds.length === 0) return 'Add one under secrets in the configuration.';
  return `Store a value where ${secretIds.join(', ')} is read from; the proxy loads it without a restart.`;
}

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

/** What would make the TLS handshake with the upstream work; null for an error that is not of TLS. */
export function tlsRemedy(code: string): string | null {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'Its certificate names another host: set upstream.tls.serverName to a name in it, or correct upstream.url.';
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return "Its certificate is outside its dates: renew it, and check this machine's clock.";
  }
  if (/^(?:DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_)/.test(code)) {
    return 'The proxy does not know who signed its certificate: name that authority’s certificate, or the self-signed one itself, in upstream.tls.caFile.';
  }
  if (/^(?:ERR_SSL|EPROTO|ERR_TLS)/.test(code)) {
    return 'Does it speak TLS on this port? If not, write http:// in upstream.url. It may also ask for a certificate of ours: upstream.tls.certFile.';
  }
  return null;
}

const SIDES = { listen: 'Clients', upstream_client: 'The upstream' } as const;

function certificateAdvice({ certificate, file, notBefore, notAfter }: CertificateStatus, now: number): Advice | null {
  const refuses = `${SIDES[certificate]}${certificate === 'listen' ? ' that check it refuse' : ' refuses'} to connect`;
  const of = `The TLS certificate in ${file}`;
  const advice = { id: 'certificates', page: PAGES.certificates } as const;
  if (now < notBefore) {
    const message = `${of} is not valid before ${dateText(notBefore)}. ${refuses}.`;
    return {
      ...advice,
      state: 'failed',
      message,
      remedy: `The clock of this machine says ${dateText(now)}: is it right?`,
    };
  }
  if (notAfter - now > 14 * DAY) return null;
  const remedy = 'Replace the certificate and its key; the proxy loads them without a restart.';
  if (now >= notAfter) {
    return { ...advice, state: 'failed', message: `${of} expired at ${dateText(notAfter)}. ${refuses}.`, remedy };
  }
  const remaining = spanText(notAfter - now);
  const message = `${of} expires in ${remaining}, at ${dateText(notAfter)}. From then on ${refuses.toLowerCase()}.`;
  return { ...advice, state: 'warning', message, remedy };
}

function onceStore({ once }: StatusSnapshot): Advice | null {
  if (once === null || once.trouble === null) return null;
  const refuses = once.onStoreFailure === 'refuse';
  const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
  return {
    id: 'once',
    state: refuses ? 'failed' : 'warning',
    message: `The store of delivered events (${once.store}) fails: ${once.trouble}. Until it works again, ${effect}.`,
    remedy: 'Check the store and once.passwordFile.',
    page: PAGES.once,
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
    remedy: 'Load balancers send no requests here until that is mended.',
    page: PAGES.start,
  };
}

function secretAdvice(secret: SecretStatus, s: StatusSnapshot): Advice | null {
  const { id, state, source, problem, notAfter } = secret;
  const advice = { id: 'secrets', state: 'warning', page: PAGES.rotation } as const;
  if (problem !== null) {
    const unusable = state === 'unusable' ? ' cannot be used' : '';
    const remedy = `Correct it there${state === 'unusable' ? '; the proxy loads it without a restart' : ''}.`;
    return { ...advice, message: `Secret ${id}${unusable} (${source}): ${problem}.`, remedy, page: PAGES.start };
  }
  if (notAfter === null) return null;
  if (isPrevious(id)) return state === 'live' ? rotation(secret, notAfter, s.now) : null;
  if (state === 'expired') {
    const isNamed = s.routes.some((route) => route.secretIds.includes(id) && noLiveSecret(route, s) !== null);
    const message = `Secret ${id} expired at ${dateText(notAfter)}.`;
    return isNamed ? null : { ...advice, message, remedy: 'Remove it once its successor verifies.' };
  }
  if (state !== 'live' || notAfter - s.now > 7 * DAY) return null;
  const message = `Secret ${id} expires in ${spanText(notAfter - s.now)}, at ${dateText(notAfter)}.`;
  return { ...advice, message, remedy: 'Add its successor before then, and set that at Entrupy.' };
}

/** A previous value expires by design; only senders that still use it need attention. */
function rotation({ id, lastMatch }: SecretStatus, notAfter: number, now: number): Advice {
  const current = currentOf(id);
  const since = now - lastMatch * 1000;
  const remaining = spanText(notAfter - now);
  const advice = { id: 'secrets', page: PAGES.rotation } as const;
  if (lastMatch > 0 && since < HOUR) {
    const message = `Rotation: senders still sign with the old value of ${current} (${spanText(since)} ago), which ends in ${remaining}.`;
    return { ...advice, state: 'warning', message, remedy: 'Switch them to the new one.' };
  }
  const message = `Rotation: nobody has signed with the old value of ${current} within the last hour; it expires by itself in ${remaining}.`;
  return { ...advice, state: 'ok', message, remedy: 'Nothing to do.' };
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
