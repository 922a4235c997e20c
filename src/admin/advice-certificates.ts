// Advice on TLS certificates: ours, and that of the upstream.

import type { Advice, State } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import type { CertificateStatus } from './status-snapshot.ts';
import { DAY, dateText, spanText } from './times.ts';

/** As the alerts: before its end there are 14 days to act, and the last three are urgent. */
export function certificateState(
  { notBefore, notAfter }: Pick<CertificateStatus, 'notBefore' | 'notAfter'>,
  now: number,
): State {
  if (now < notBefore || now >= notAfter) return 'failed';
  if (notAfter - now < 3 * DAY) return 'failed';
  return notAfter - now < 14 * DAY ? 'warning' : 'ok';
}

/** Null for a certificate with more than 14 days to its end. */
export function certificateAdvice(status: CertificateStatus, now: number): Advice | null {
  const { certificate, file, notBefore, notAfter } = status;
  const state = certificateState(status, now);
  if (state === 'ok') return null;
  const refuse =
    certificate === 'listen' ? 'clients that check it refuse to connect' : 'the upstream refuses to connect';
  const advice = { id: 'certificates', state, page: PAGES.certificates } as const;
  const name = `The TLS certificate in ${file}`;
  if (now < notBefore) {
    const message = `${name} is not valid before ${dateText(notBefore)}: ${refuse}.`;
    return { ...advice, message, remedy: `The clock of this machine says ${dateText(now)}: is it right?` };
  }
  const remedy = 'Replace the certificate and its key; the proxy loads them without a restart.';
  const message =
    now >= notAfter
      ? `${name} expired at ${dateText(notAfter)}: ${refuse}.`
      : `${name} expires in ${spanText(notAfter - now)}, at ${dateText(notAfter)}. From then on ${refuse}.`;
  return { ...advice, message, remedy };
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
