// The facts that the judge and the status page need beside the ledger: a plain snapshot that runtime makes. It must never
// hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds. Operators rely on the names
// of the keys: docs/admin.md lists them.
// The one import of a type from above: the only maker of the facts declares their shape.
import type { factsNow } from '../runtime/status.ts';

export type Facts = ReturnType<typeof factsNow>;
export type RouteFacts = Facts['routes'][number];
export type SecretFacts = Facts['secrets'][number];
export type CertificateFacts = Facts['certificates'][number];
export type DeferredFacts = NonNullable<Facts['deferred']>;
export type LostDelivery = DeferredFacts['losses'][number];
export type DeferredDelivery = DeferredFacts['deliveries'][number];

/** The facts that take time to find out. */
export interface Probed {
  readonly ready: boolean;
  readonly causes: readonly string[];
  /** Why the upstream accepts no connections: the system's code, such as `ECONNREFUSED`; null if it accepts them. */
  readonly error: string | null;
}
