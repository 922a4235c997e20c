// The facts about a request that has ended, recorded once and read by metrics, log and status page.
import type { Diagnosis, Hint } from './diagnoses-and-remedies.ts';
import { type Fate, isNotTaken } from './fate.ts';
import type { RuleName } from './gate-rules.ts';
import { valuesOf } from './header-lines.ts';
import { type Decision, REASONS, type Reason, type UpstreamFailure } from './reasons.ts';
import { pathOf } from './request-head.ts';

export interface RequestRecord {
  /** The metric label: a configured path, or `unmatched`. */
  readonly route: string;
  readonly method: string;
  /** The target's path as sent, not yet shortened; never its query. */
  readonly path: string;
  /** The status of the answer; 499 if the client disconnected first. */
  readonly status: number;
  readonly decision: Decision;
  readonly reason: Reason | 'none';
  /** For the operator only: the likely cause of a refusal, or what would allow the request. */
  readonly hint: Hint | null;
  /** The rule that refused the request with 400 or 431; null for every other reason. */
  readonly rule: RuleName | null;
  /** The lower-case name of the header that broke the rule, not yet shortened; never its value. */
  readonly header: string | null;
  /** `none`: not a delivery. `pending`: not known yet, although the request may have ended. */
  readonly fate: Fate | 'pending' | 'none';
  /** True if the request had a signature header, whatever its form. */
  readonly signed: boolean;
  /** True if the request had exactly one signature header, of the right form. */
  readonly wellFormed: boolean;
  /** The id of the secret that matched; null if none did. */
  readonly secret: string | null;
  readonly bodyBytes: number;
  /** Milliseconds from the request's head to its end; -1 while it has not ended. */
  readonly durationMs: number;
  /** Milliseconds from the request's head until the client departed without the whole answer; -1 if it did not. */
  readonly departedMs: number;
  /** Milliseconds that the HMACs and comparisons took; -1 if none ran. */
  readonly verifyMs: number;
  /** Milliseconds from the start of forwarding to the response's head; -1 if there was none. */
  readonly upstreamMs: number;
  /** The upstream's status; 0 if there was none. */
  readonly upstreamStatus: number;
  readonly interims: number;
  /** The cause if the upstream sent no complete response; else null. */
  readonly upstreamFailure: UpstreamFailure | null;
  /** The system's code for that failure, such as `ECONNREFUSED`; null if there is none. */
  readonly upstreamError: string | null;
  /** The `bodyTag` of a delivery that the app did not take (failed, abandoned, deferred); null for other requests. */
  readonly bodySha256: string | null;
  readonly client: string;
  readonly traceId: string | null;
}

/** A path as log, status page and notes show it: cut at 256 characters, and at `?` even if the caller forgot to. */
export function shownPath(path: string): string {
  return pathOf(path.slice(0, 256));
}

/**
 * The first 16 digits of a body's hexadecimal SHA-256, or of a deferred delivery's id, which begins with them: enough
 * to find an event again, too short to be mistaken for a signature.
 */
export const bodyTag = (hexOrId: string): string => hexOrId.slice(0, 16);

/** A valid `traceparent`, with its trace id (https://www.w3.org/TR/trace-context/#traceparent-header). */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** The trace id in a request's header lines; null if they have no valid `traceparent`. */
export function traceIdOf(lines: readonly string[]): string | null {
  return TRACEPARENT.exec(valuesOf(lines, 'traceparent').at(-1) ?? '')?.[1] ?? null;
}

/** A delivery whose fate is known. Its request may or may not have ended. */
export interface DeliveryRecord extends RequestRecord {
  readonly fate: Fate;
}

/** States of a deferred delivery: it waits to be sent again; the app refused it; the current rules do not accept it. */
export const DEFERRED_STATES = ['waiting', 'stopped', 'unverified'] as const;
export type DeferredState = (typeof DEFERRED_STATES)[number];

/** How a deferred delivery ended, or why it is not sent again for now. */
export const REDELIVERY_RESULTS = ['delivered', 'client_error', 'expired', 'dropped', 'unverified'] as const;
export type RedeliveryResult = (typeof REDELIVERY_RESULTS)[number];

export interface RedeliveryRecord {
  readonly result: RedeliveryResult;
  readonly id: string;
  /** The path of the delivery's route when it was stored or last tried; or `unmatched`. */
  readonly route: string;
  /** Why the app did not take the delivery, or why it cannot be sent: a status or a word; empty if unknown. */
  readonly failure: string;
}

// --- what is wrong with one request: the log and the status page both ask here, so they agree

const BY_FAILURE: Readonly<Record<UpstreamFailure, Diagnosis>> = {
  connect: 'app-down',
  timeout: 'app-hangs',
  reset: 'app-breaks-off',
  protocol: 'app-not-http',
};

/** The diagnosis of a request that was refused, reported, or not taken by the app; null for any other. */
export function diagnosisOf(record: RequestRecord): Diagnosis | null {
  const { hint, fate, reason, upstreamFailure, upstreamError, upstreamStatus: status } = record;
  if (hint !== null) return hint.diagnosis;
  if (fate === 'taken' || fate === 'duplicate') return null;
  if (upstreamFailure !== null) return diagnosisOfFailure(upstreamFailure, upstreamError);
  if (fate !== 'none' && status >= 500) return 'app-fails';
  if (fate !== 'none' && status >= 400) return isNotTaken(status) ? 'app-busy' : 'app-refuses';
  if (fate === 'abandoned') return 'sender-leaves';
  return reason === 'none' ? null : REASONS[reason].diagnosis;
}

/** The diagnosis for a failed upstream. `code`: the system's error code, which tells TLS problems from others. */
export function diagnosisOfFailure(failure: UpstreamFailure, code: string | null): Diagnosis {
  if (failure !== 'connect' || code === null) return BY_FAILURE[failure];
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'app-certificate-name';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'app-certificate-dates';
  if (/^(?:DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_)/.test(code)) return 'app-certificate-unknown';
  return /^(?:ERR_SSL|EPROTO|ERR_TLS)/.test(code) ? 'app-tls' : BY_FAILURE[failure];
}
