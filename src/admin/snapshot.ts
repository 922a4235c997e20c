// The state of the running proxy for the status page, /api/status and the advice: a plain snapshot that runtime makes.
// It must never hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds. Operators
// rely on the names of the keys: docs/admin.md lists them.
import type { Decision, Reason } from '../core/reasons.ts';
import type { Diagnosis } from '../health/diagnoses.ts';
// The one import of a type from above: the only maker of a snapshot declares its shape.
import type { statusNow } from '../runtime/status.ts';
import type { ShownRequest } from './shown-request.ts';

export type StatusSnapshot = ReturnType<typeof statusNow>;
export type RouteStatus = StatusSnapshot['routes'][number];
export type SecretStatus = StatusSnapshot['secrets'][number];
export type CertificateStatus = StatusSnapshot['certificates'][number];
export type DeferredStatus = NonNullable<StatusSnapshot['deferred']>;
export type DeferredDelivery = DeferredStatus['deliveries'][number];
export type LostDelivery = DeferredStatus['losses'][number];

/** The parts of a snapshot that take time to find out. */
export interface Probed {
  readonly ready: boolean;
  readonly causes: readonly string[];
  /** Why the upstream accepts no connections: the system's code, such as `ECONNREFUSED`; null if it accepts them. */
  readonly error: string | null;
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

type LostFields = 'at' | 'route' | 'path' | 'status' | 'upstreamError' | 'hint' | 'bodySha256' | 'client';

/** A delivery that may be lost: it failed or was abandoned. */
export interface Undelivered extends Pick<ShownRequest, LostFields> {
  readonly diagnosis: Diagnosis | null;
  readonly fate: 'failed' | 'abandoned';
  /** The upstream's failure or status, `overloaded` or `abandoned`. */
  readonly cause: string;
}
