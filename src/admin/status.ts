// What the status page, /api/status and the advice know of the running proxy: a plain snapshot that app.ts fills.
// It must never hold a secret's value, a header's value, a query or a body.
import type { Decision, Reason } from '../core/decision.ts';
import type { RuleName } from '../core/gate.ts';
import type { UpstreamFailure } from '../core/record.ts';

export interface RouteStatus {
  /** As configured; `unmatched` for what no route takes. */
  readonly path: string;
  readonly action: 'verify' | 'forward' | 'reject';
  /** As configured. With `report` and a `reportUntil` that is past, the route enforces. */
  readonly mode: 'enforce' | 'report';
  /** Epoch milliseconds. */
  readonly reportUntil: number | null;
  /** Null means every method. */
  readonly methods: readonly string[] | null;
  /** Ids that can match here, `current.previous` included; empty unless `action` is verify. */
  readonly secretIds: readonly string[];
  readonly liveSecrets: number;
  /** Bytes; null where the route has no limit (forward, reject). */
  readonly maxBody: number | null;
  readonly query: 'forward' | 'refuse';
  /** Milliseconds; null where the route does not deliver once. */
  readonly once: number | null;
}

export type SecretState = 'live' | 'not_yet' | 'expired' | 'unusable';

export interface SecretStatus {
  readonly id: string;
  /** Where it is read from, for people: `file /run/secrets/entrupy`, `env OLD_ENTRUPY_SECRET`, `replaced value of current`. */
  readonly source: string;
  readonly state: SecretState;
  /** What is wrong with it, or worth a warning (a failed reading, a short value); null where nothing is. */
  readonly problem: string | null;
  /** Epoch milliseconds. */
  readonly notBefore: number | null;
  /** Epoch milliseconds; for a `.previous` value, the end of its overlap. */
  readonly notAfter: number | null;
  /** Epoch seconds, as `Metrics.lastMatch` gives it; 0 where it has not matched in this process. */
  readonly lastMatch: number;
}

/** Requests of one decision, reason, route and client that were refused, reported or failed by the upstream; the last one. */
export interface Refusal {
  /** Epoch milliseconds. */
  readonly at: number;
  /** How many there were since the group was begun; a group that saw nothing for long makes room for others. */
  readonly count: number;
  readonly route: string;
  readonly method: string;
  /** Cut at 256, never a query. */
  readonly path: string;
  readonly status: number;
  readonly decision: Decision;
  readonly reason: Reason | 'none';
  readonly upstreamFailure: UpstreamFailure | null;
  /** The system's code behind it, such as `ECONNREFUSED`. */
  readonly upstreamError: string | null;
  readonly hint: string | null;
  /** Which rule of the gate refused it, and the name of the header that broke it, cut at 128; never a value. */
  readonly rule: RuleName | null;
  readonly header: string | null;
  readonly client: string;
}

/** A verified request that ended in our 502, 503 or 504, or whose answer was cut. */
export interface Undelivered {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly route: string;
  /** Cut at 256, never a query. */
  readonly path: string;
  readonly status: number;
  readonly cause: UpstreamFailure | 'overloaded';
  readonly upstreamError: string | null;
  /** 16 hex digits. */
  readonly bodySha256: string | null;
  readonly client: string;
}

/** What has a curve of the last hour. */
export const CURVES = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'upstreamFailures'] as const;
export type Curve = (typeof CURVES)[number];

export interface RecentCounts {
  /** How far back the counts reach. */
  readonly windowSeconds: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly reported: number;
  readonly forwarded: number;
  readonly duplicate: number;
  /** Requests that the upstream failed, whatever their decision. */
  readonly upstreamFailures: number;
  /** Of the rejected and reported: what any public port gets, and clients that left. No sign of trouble. */
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
  /** Why the store can't be asked; null where it can, as far as is known. */
  readonly trouble: string | null;
  readonly onStoreFailure: 'forward' | 'refuse';
}

export interface StatusSnapshot {
  readonly version: string;
  readonly nodeVersion: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Epoch milliseconds: when this snapshot was taken. */
  readonly now: number;
  readonly ready: boolean;
  /** Why it is not ready, as /readyz tells. */
  readonly causes: readonly string[];
  readonly draining: boolean;
  /** `reachable` is null where nobody has tried of late. */
  readonly upstream: { readonly url: string; readonly reachable: boolean | null; readonly exposed: boolean };
  readonly routes: readonly RouteStatus[];
  readonly secrets: readonly SecretStatus[];
  readonly config: {
    /** Null where the environment alone decided. */
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
  /** The address of docs/; null where nobody has filled it in. */
  readonly docs: string | null;
}

export type StatusSource = () => StatusSnapshot | Promise<StatusSnapshot>;
