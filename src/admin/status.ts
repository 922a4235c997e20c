// The state of the running proxy for the status page, /api/status and the advice: a plain snapshot that runtime fills.
// It must never hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds.
import type { Reason } from '../core/decision.ts';
import type { Secret, SecretState } from '../core/keyring.ts';
import type { RequestRecord, UpstreamFailure } from '../core/record.ts';
import type { Route } from '../core/routes.ts';

export interface RouteStatus
  extends Pick<Route, 'path' | 'action' | 'mode' | 'reportUntil' | 'methods' | 'query' | 'once'> {
  /** Ids that can match here, `current.previous` included; empty unless `action` is verify. */
  readonly secretIds: readonly string[];
  readonly liveSecrets: number;
  /** Bytes; null where the route has no limit (forward, reject). */
  readonly maxBody: number | null;
}

/** `notAfter` of a `.previous` value is the end of its overlap. */
export interface SecretStatus extends Pick<Secret, 'id' | 'notBefore' | 'notAfter'> {
  /** For people: `file /run/secrets/entrupy`, `env OLD_ENTRUPY_SECRET`, `replaced value of current`. */
  readonly source: string;
  readonly state: SecretState | 'unusable';
  /** A problem or warning, such as a failed read or a short value; null if there is none. */
  readonly problem: string | null;
  /** Epoch seconds, as `Metrics.lastMatch` gives it; 0 where it has not matched in this process. */
  readonly lastMatch: number;
}

type OfRequest = 'route' | 'path' | 'status' | 'upstreamError' | 'client';

/**
 * A group of requests with one decision, reason, route and client that were refused, reported or failed by the
 * upstream. The fields are the last request's: texts that a client chose are cut, and `path` has no query.
 */
export interface Refusal
  extends Pick<
    RequestRecord,
    OfRequest | 'method' | 'decision' | 'reason' | 'upstreamFailure' | 'hint' | 'rule' | 'header'
  > {
  readonly at: number;
  /** Requests since the group began. A group that gets none for long is removed first. */
  readonly count: number;
}

/** A verified request that ended in our 502, 503 or 504, or whose answer was cut. */
export interface Undelivered extends Pick<RequestRecord, OfRequest | 'bodySha256'> {
  readonly at: number;
  readonly cause: UpstreamFailure | 'overloaded';
}

/** The counts with a curve: decisions, and requests that the upstream failed, whatever their decision. */
export const CURVES = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'upstreamFailures'] as const;
export type Curve = (typeof CURVES)[number];

export interface RecentCounts extends Readonly<Record<Curve, number>> {
  /** How far back the counts reach. */
  readonly windowSeconds: number;
  /** Rejected and reported requests that need no attention: those that every public port gets, and clients that left. */
  readonly noise: number;
  /** The reason of most of the other rejected or reported requests in the window; null where there were none. */
  readonly topReason: Reason | null;
  /** By minute, the oldest first. */
  readonly hour: Readonly<Record<Curve, readonly number[]>>;
}

/** Where delivered events are remembered. */
export interface OnceStatus {
  /** `memory`, or a host. */
  readonly store: string;
  readonly entries: number;
  /** Why the store fails; null while it answers. */
  readonly trouble: string | null;
  readonly onStoreFailure: 'forward' | 'refuse';
}

export interface StatusSnapshot {
  readonly version: string;
  readonly nodeVersion: string;
  readonly startedAt: number;
  /** When this snapshot was taken. */
  readonly now: number;
  readonly ready: boolean;
  /** Why it is not ready, as in /readyz. */
  readonly causes: readonly string[];
  readonly draining: boolean;
  /** `reachable` is null if no connection was tried recently. */
  readonly upstream: { readonly url: string; readonly reachable: boolean | null; readonly exposed: boolean };
  readonly routes: readonly RouteStatus[];
  readonly secrets: readonly SecretStatus[];
  readonly config: {
    /** Null if there is no file, only the environment. */
    readonly file: string | null;
    readonly sha256: string;
    readonly warnings: readonly string[];
  };
  /** Null before the first reload. */
  readonly lastReload: { readonly ok: boolean; readonly at: number; readonly error: string | null } | null;
  /** Null where no route has `once`. */
  readonly once: OnceStatus | null;
  readonly recent: RecentCounts;
  /** Newest first. */
  readonly refusals: readonly Refusal[];
  /** The last ones, newest first. */
  readonly undelivered: readonly Undelivered[];
  /** The address of docs/; null until it is filled in. */
  readonly docs: string | null;
}
