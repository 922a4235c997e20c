// The diagnosis of one request, by its record. The log and the status page ask it, so that they say the same.

import type { Diagnosis } from './diagnoses-and-remedies.ts';
import { isNotTaken } from './fate.ts';
import type { Reason } from './reasons.ts';
import type { RequestRecord, UpstreamFailure } from './request-record.ts';

const BY_FAILURE: Readonly<Record<UpstreamFailure, Diagnosis>> = {
  connect: 'app-down',
  timeout: 'app-hangs',
  reset: 'app-breaks-off',
  protocol: 'app-not-http',
};

export const BY_REASON: Readonly<Record<Reason, Diagnosis>> = {
  bad_request: 'gate-rule',
  header_too_large: 'large-head',
  header_timeout: 'slow-request',
  route_rejected: 'other-address',
  method_not_allowed: 'other-address',
  no_live_secret: 'no-live-secret',
  missing_signature: 'no-signature',
  multiple_signatures: 'signature-form',
  malformed_signature: 'signature-form',
  unsupported_algorithm: 'signature-form',
  body_too_large: 'large-body',
  overloaded: 'proxy-full',
  body_timeout: 'slow-request',
  signature_mismatch: 'another-secret',
  expired_secret: 'expired-secret',
  client_closed: 'front-leaves',
};

type Told = Pick<RequestRecord, 'hint' | 'fate' | 'reason' | 'upstreamFailure' | 'upstreamError' | 'upstreamStatus'>;

/** The diagnosis of a request that was refused, reported, or not taken by the app; null for any other. */
export function diagnosisOf({ hint, fate, reason, ...upstream }: Told): Diagnosis | null {
  if (hint !== null) return hint.diagnosis;
  if (fate === 'taken' || fate === 'duplicate') return null;
  const { upstreamFailure, upstreamError, upstreamStatus: status } = upstream;
  if (upstreamFailure !== null) return diagnosisOfFailure(upstreamFailure, upstreamError);
  if (fate !== 'none' && status >= 400) return diagnosisOfStatus(status);
  if (fate === 'abandoned') return 'sender-leaves';
  return reason === 'none' ? null : BY_REASON[reason];
}

function diagnosisOfStatus(status: number): Diagnosis {
  if (status >= 500) return 'app-fails';
  return isNotTaken(status) ? 'app-busy' : 'app-refuses';
}

/** `code`: the system's, which tells TLS's problems from others. */
export function diagnosisOfFailure(failure: UpstreamFailure, code: string | null): Diagnosis {
  if (failure !== 'connect' || code === null) return BY_FAILURE[failure];
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'app-certificate-name';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'app-certificate-dates';
  if (/^(?:DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_)/.test(code)) return 'app-certificate-unknown';
  return /^(?:ERR_SSL|EPROTO|ERR_TLS)/.test(code) ? 'app-tls' : BY_FAILURE[failure];
}
