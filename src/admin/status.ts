// The state of the running proxy for the status page, /api/status and the advice: a plain snapshot that runtime fills.
// It must never hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds.
import type { Secret, SecretState } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import type { RecentRequests } from './recent.ts';

export interface RouteStatus
  extends Pick<Route, 'path' | 'action' | 'mode' | 'reportUntil' | 'methods' | 'query' | 'once'> {
  /** Ids that can match here, `current.previous` included; empty unless `action` is verify. */
  readonly secretIds: readonly string[];
  readonly liveSecrets: number;
  /** Bytes; null if the route has no limit (forward, reject). */
  readonly maxBody: number | null;
}

/** `notAfter` of a `.previous` value is the end of its overlap. */
export interface SecretStatus extends Pick<Secret, 'id' | 'notBefore' | 'notAfter'> {
  /** For people: `file /run/secrets/entrupy`, `env OLD_ENTRUPY_SECRET`, `env (name hidden)`, `replaced value of current`. */
  readonly source: string;
  readonly state: SecretState | 'unusable';
  /** A problem or warning, such as a failed read or a short value; null if there is none. Never null if unusable. */
  readonly problem: string | null;
  /** Epoch seconds, from `Metrics.lastMatch`; 0 if the secret has not matched in this process. */
  readonly lastMatch: number;
}

export interface StatusSnapshot extends ReturnType<RecentRequests['view']> {
  readonly version: string;
  readonly nodeVersion: string;
  readonly startedAt: number;
  /** When this snapshot was taken. */
  readonly now: number;
  readonly ready: boolean;
  /** Why it is not ready, as in /readyz. */
  readonly causes: readonly string[];
  readonly draining: boolean;
  readonly upstream: { readonly url: string; readonly reachable: boolean; readonly exposed: boolean };
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
  /** Where delivered events are remembered; null if no route has `once`. */
  readonly once: {
    /** `memory`, or a host. */
    readonly store: string;
    readonly entries: number;
    /** Why the store fails; null while it answers. */
    readonly trouble: string | null;
    readonly onStoreFailure: 'forward' | 'refuse';
  } | null;
  /** The address of docs/; null until it is filled in. */
  readonly docs: string | null;
}
