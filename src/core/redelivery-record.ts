// The states and results of deferred deliveries, as stores, metrics, log and status page name them.

/**
 * States of a deferred delivery: it waits to be sent again; the app refused it; its window ended before the app took it;
 * the current rules do not accept it. Only one that waits is sent unasked.
 */
export const DEFERRED_STATES = ['waiting', 'stopped', 'expired', 'unverified'] as const;
export type DeferredState = (typeof DEFERRED_STATES)[number];

/** How deferred deliveries end. `replaced`: the app took an equal fresh one, or that took its place in the store. */
const ENDS = ['delivered', 'dropped', 'lost', 'replaced'] as const;
/** Ends, and why a deferred delivery that is still there is not sent by itself for now. */
export const REDELIVERY_RESULTS = [...ENDS, 'client_error', 'expired', 'unverified'] as const;
export type RedeliveryResult = (typeof REDELIVERY_RESULTS)[number];

export interface RedeliveryRecord {
  readonly result: RedeliveryResult;
  readonly id: string;
  /** The path of the delivery's route when it was stored or last tried; or `unmatched`. */
  readonly route: string;
  /** Why the app did not take the delivery, or why it cannot be sent: a status or a word; empty if unknown. */
  readonly failure: string;
}
