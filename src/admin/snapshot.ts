// The state of the running proxy for the status page, /api/status and the advice: a plain snapshot that runtime fills.
// It must never hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds. Operators
// rely on the names of the keys: docs/admin.md lists them.
import type { Config } from '../config/config.ts';
import type { Secret, SecretState } from '../core/keyring.ts';
import type { Decision, Reason } from '../core/reasons.ts';
import type { DeferredState } from '../core/redelivery-record.ts';
import type { Route } from '../core/routes.ts';
import type { RouteTraffic } from './route-traffic.ts';
import type { ShownRequest } from './shown-request.ts';

export interface RouteStatus
  extends Pick<Route, 'path' | 'action' | 'mode' | 'reportUntil' | 'methods' | 'query' | 'once' | 'redeliver'> {
  /** Ids of secrets that can match here, `current.previous` included; empty unless `action` is verify. */
  readonly secretIds: readonly string[];
  readonly liveSecrets: number;
  /** Bytes; null if the route has no limit (forward, reject). */
  readonly maxBody: number | null;
  readonly traffic: Readonly<RouteTraffic>;
}

/** `notAfter` of a `.previous` value is the end of its overlap. */
export interface SecretStatus extends Pick<Secret, 'id' | 'notBefore' | 'notAfter'> {
  /** `file /run/secrets/entrupy`, `env OLD_ENTRUPY_SECRET`, `env (name hidden)` or `replaced value of current`. */
  readonly source: string;
  readonly state: SecretState | 'unusable';
  /** Why the secret cannot be read or used; null if it can. Never null if `state` is `unusable`. */
  readonly problem: string | null;
  /** An unusual trait of the value in use, for instance that it is short; null if it has none. */
  readonly note: string | null;
  /** Epoch seconds, from `Metrics.lastMatch`; 0 if the secret has not matched in this process. */
  readonly lastMatch: number;
  /** When a reload brought this value into use; null for one that was in use from the start. */
  readonly changedAt: number | null;
  /** How many deferred deliveries are signed with this value. */
  readonly deferred: number;
}

export interface RecentCounts extends Readonly<Record<Decision, number>> {
  readonly windowSeconds: number;
  /** Rejected and reported requests that need no attention. */
  readonly noise: number;
  /** Rejected and reported requests without a signature, by reason, without the noise; only reasons that occurred. */
  readonly reasons: { readonly [R in Reason]?: number };
  /** The same for requests with a signature, over the last hour: they may be deliveries. */
  readonly signedReasons: { readonly [R in Reason]?: number };
}

/** The last of the refused, reported or failed requests with the same decision, cause, route, client and header. */
export interface RefusalGroup extends ShownRequest {
  readonly count: number;
}

type LostFields = 'at' | 'route' | 'path' | 'status' | 'upstreamError' | 'diagnosis' | 'hint' | 'bodySha256' | 'client';

/** A delivery that may be lost: it failed or was abandoned, or it was deferred and not taken in time. */
export interface Undelivered extends Pick<ShownRequest, LostFields> {
  readonly fate: 'failed' | 'abandoned' | 'expired';
  /** The upstream's failure or status, `overloaded` or `abandoned`. */
  readonly cause: string;
}

/** A TLS certificate in use: the one that clients see, or the one that the upstream sees. */
export interface CertificateStatus {
  readonly certificate: 'listen' | 'upstream_client';
  readonly file: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface DeferredDelivery {
  readonly id: string;
  readonly state: DeferredState;
  readonly at: number;
  /** Null if no route is known for it. */
  readonly route: string | null;
  readonly attempts: number;
  /** A status, or a word such as `connect`; for an unverified delivery, the word for why it cannot be verified. */
  readonly lastFailure: string;
  /** Null if it is not sent again automatically. */
  readonly nextTry: number | null;
}

export interface DeferredStatus {
  readonly store: string;
  /** The store's last problem, until it takes a delivery again; null if there is none. */
  readonly problem: string | null;
  /** `failed`: the store has worked again since. */
  readonly problemKind: 'full' | 'slow' | 'failing' | 'failed';
  /** When a delivery last could not be stored; null once another one was stored. */
  readonly turnedAwayAt: number | null;
  /** The last time that the store lost its content; null if it has not since the start. */
  readonly storeLost: { readonly at: number; readonly problem: string } | null;
  /** When the first waiting delivery is lost unless taken before, and when it came; null if none waits or is sent. */
  readonly firstLoss: { readonly at: number; readonly came: number } | null;
  /** False if no route has `redeliver` any more: then nothing is sent. */
  readonly sends: boolean;
  readonly waiting: number;
  readonly stopped: number;
  readonly unverified: number;
  /** Groups of unverified deliveries: why, in one word; the id of the secret that verified them at first; how many. */
  readonly whys: readonly { readonly why: string; readonly secret: string; readonly deliveries: number }[];
  readonly bytes: number;
  /** When the oldest waiting delivery came; null if none waits. */
  readonly oldest: number | null;
  /** At most 50 deliveries, the first due first. */
  readonly deliveries: readonly DeferredDelivery[];
}

/** The parts of a snapshot that take time to find out. */
export type Probed = Pick<StatusSnapshot, 'ready' | 'causes'> & Pick<StatusSnapshot['upstream'], 'error'>;

export interface StatusSnapshot {
  readonly version: string;
  readonly nodeVersion: string;
  readonly startedAt: number;
  readonly now: number;
  readonly ready: boolean;
  readonly causes: readonly string[];
  readonly draining: boolean;
  readonly upstream: {
    readonly url: string;
    /** False if two attempts to connect failed or timed out, TLS handshake included. */
    readonly reachable: boolean;
    /** The system's code for the first of the two failures, such as `ECONNREFUSED`; null while it is reachable. */
    readonly error: string | null;
    readonly exposed: boolean;
    /** `off` without checkExposure; `unknown` until it was checked, and while $POD_IP is not set. */
    readonly exposure: 'off' | 'unknown' | 'exposed' | 'hidden';
  };
  readonly routes: readonly RouteStatus[];
  readonly secrets: readonly SecretStatus[];
  readonly config: {
    /** Null if there is no file, only the environment. */
    readonly file: string | null;
    readonly sha256: string;
    readonly since: number;
    readonly warnings: readonly string[];
    /** Changed keys that take effect only after a restart. */
    readonly awaitingRestart: readonly string[];
  };
  readonly connections: { readonly open: number; readonly limit: number };
  readonly certificates: readonly CertificateStatus[];
  /** Log lines that standard output did not take, since the start; `lastDropped` is null if there are none. */
  readonly log: { readonly dropped: number; readonly lastDropped: number | null };
  /** Null before the first reload. */
  readonly lastReload: { readonly ok: boolean; readonly at: number; readonly error: string | null } | null;
  /** Where delivered events are remembered; null until a route has `once`. */
  readonly once: {
    readonly store: string;
    readonly entries: number;
    /** Why the store fails; null while it answers. */
    readonly problem: string | null;
    readonly onStoreFailure: Config['once']['onStoreFailure'];
  } | null;
  /** Null while the store is not open. */
  readonly deferred: DeferredStatus | null;
  readonly recent: RecentCounts;
  /** Newest first, and so is `undelivered`. */
  readonly refusals: readonly RefusalGroup[];
  readonly undelivered: readonly Undelivered[];
  /** How many deliveries of the last day may be lost, by fate; `undelivered` lists the latest, except dropped ones. */
  readonly lost: Readonly<Record<'failed' | 'abandoned' | 'expired' | 'dropped', number>>;
  /** The last verified probe; null before the first. */
  readonly lastProbe: ShownRequest | null;
  /** The address of docs/; null if package.json names no repository. */
  readonly docs: string | null;
}
