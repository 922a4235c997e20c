// The diagnosis of one request: the log and the status page both ask here, so they agree.
import { mayBeTakenLater } from './fate-by-status.ts';
import type { Hint } from './hint.ts';
import { REASONS, type UpstreamFailure } from './reasons.ts';
import type { RequestRecord } from './request-record.ts';

/** The `upstreamError` of a request that came back to this proxy. */
export const LOOP = 'LOOP_DETECTED';

type Telling = 'hint' | 'fate' | 'reason' | 'upstreamFailure' | 'upstreamError' | 'upstreamStatus';

const BY_FAILURE: Readonly<Record<UpstreamFailure, Hint['diagnosis']>> = {
  connect: 'app-down',
  timeout: 'app-hangs',
  reset: 'app-breaks-off',
  protocol: 'app-not-http',
};

/** The diagnosis of a request that was refused, reported, or not taken by the app; null for any other. */
export function diagnosisOf(record: Pick<RequestRecord, Telling>): Hint['diagnosis'] | null {
  const { hint, fate, reason, upstreamFailure, upstreamError, upstreamStatus: status } = record;
  if (hint !== null) return hint.diagnosis;
  if (fate === 'taken' || fate === 'duplicate') return null;
  if (upstreamError === LOOP) return 'upstream-loop';
  if (upstreamFailure !== null) return diagnosisOfFailure(upstreamFailure, upstreamError);
  if (fate !== 'none' && status >= 500) return 'app-fails';
  if (fate !== 'none' && status >= 400) return mayBeTakenLater(status) ? 'app-busy' : 'app-refuses';
  if (fate === 'abandoned') return 'sender-leaves';
  return reason === 'none' ? null : REASONS[reason].diagnosis;
}

/** The diagnosis for a failed upstream. `code`: the system's error code, which tells TLS problems from others. */
export function diagnosisOfFailure(failure: UpstreamFailure, code: string | null): Hint['diagnosis'] {
  if (failure !== 'connect' || code === null) return BY_FAILURE[failure];
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'app-certificate-name';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'app-certificate-dates';
  if (/^(?:DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_)/.test(code)) return 'app-certificate-unknown';
  return /^(?:ERR_SSL|EPROTO|ERR_TLS)/.test(code) ? 'app-tls' : BY_FAILURE[failure];
}
