// The facts about a request, recorded at its end, and of a delivery once its fate is known, for metrics, log and page.
import { hash } from 'node:crypto';
import type { Fate } from './fate-by-status.ts';
import type { RuleName } from './gate-rules.ts';
import type { Hint } from './hint.ts';
import type { Decision, Reason, UpstreamFailure } from './reasons.ts';
import { type Head, pathOf } from './request-head.ts';

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
  /** Equal for equal signature, method and target; empty without one signature of the right form. */
  readonly event: string;
  /** The id of the secret that matched; null if none did. */
  readonly secret: string | null;
  readonly bodyBytes: number;
  /** When its head came, in milliseconds of the monotonic clock. */
  readonly startedAt: number;
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
  /** The system's code for that failure, such as `ECONNREFUSED`, or `LOOP_DETECTED`; null if there is none. */
  readonly upstreamError: string | null;
  /** The `bodyTag` of a delivery that the app did not take (of a refused one if that is logged); null for other requests. */
  readonly bodySha256: string | null;
  readonly client: string;
  /** The address of the client's connection: where a trusted proxy stands in front, that of the proxy. */
  readonly connectionAddress: string;
  /** Two headers as sent, to tell senders from strangers; empty if absent. Never logged or shown. */
  readonly userAgent: string;
  readonly contentType: string;
  /** The name, as sent, of another header whose value has the form of a signature; null if there is none. */
  readonly renamedHeader: string | null;
  readonly traceId: string | null;
}

/** A path as log, status page and notes show it: cut at 256 characters, and at `?` even if the caller forgot to. */
export const shownPath = (path: string): string => pathOf(path.slice(0, 256));

/** The first 16 digits of a body's SHA-256, with which a deferred one's id begins: enough to find it, and no signature. */
export const bodyTag = (hexOrId: string): string => hexOrId.slice(0, 16);

/** A delivery whose fate is known. Its request may or may not have ended. */
export interface DeliveryRecord extends RequestRecord {
  readonly fate: Fate;
}

/** The `event` of a request that is well signed, fresh or sent again: a hash, since a target may have any length. */
export const eventOf = ({ signature, method, target }: Pick<Head, 'signature' | 'method' | 'target'>) =>
  hash('sha256', `${signature} ${method} ${target}`, 'latin1');

/** A sending of a deferred delivery. */
export interface SentAgain
  extends Pick<DeliveryRecord, 'route' | 'event' | 'fate'>,
    Partial<Pick<RequestRecord, 'upstreamStatus' | 'upstreamFailure' | 'upstreamError'>> {}
