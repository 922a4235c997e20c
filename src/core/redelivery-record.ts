// The states and results of deferred deliveries, as stores, metrics, log and status page name them.

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
