// A delivery's fate is decided here, by its end and the app's status, and nowhere else: metrics, log, page, `check` and alerts
// infer none. Below are the states and results of deferred deliveries, as stores, metrics, log and page name them.
import type { Route } from './routes.ts';

/** The fates of a delivery (a verified request that is no probe), and their meaning for people. */
export const FATE_MEANINGS = {
  taken: 'The app answered 2xx or 3xx and did not break its answer off, even if the sender had left.',
  refused: 'The app answered with a 4xx that does not count as `failed`: sending it again is useless.',
  failed: 'The app answered 5xx, 408, 425 or 429, broke its answer off or gave none, or the proxy answered 503.',
  abandoned:
    "The sender left before the app's answer, and the proxy ended the request: the app may have taken it or not.",
  deferred: 'The proxy stored it, and sends it again (`redeliver`): `redelivered_total` counts how it ends.',
  duplicate: 'The event was already delivered (`once`).',
} as const;

export type Fate = keyof typeof FATE_MEANINGS;
export const FATES = Object.keys(FATE_MEANINGS) as readonly Fate[];

/** True unless it is known that the app has taken the event, now or before. A deferred one is untaken so far. */
export const isUntaken = (fate: Fate): boolean => fate !== 'taken' && fate !== 'duplicate';

/** The right to deliver an event under `once`. Its holder calls one of the two methods; only the first call counts. */
export interface DeliveryClaim {
  /** The upstream answered 2xx: completely, or until we cut it off because nobody read it. */
  delivered(): void;
  /** The event was not delivered, so a retry may go through. */
  failed(): void;
}

/** Ends the claim. `status`: that of the app's answer, which is complete or was cut off by us. */
export function endClaim(claim: DeliveryClaim | null, status: number): void {
  if (status < 300) claim?.delivered();
  else claim?.failed();
}

export interface DeliveryEnd {
  /** `duplicate`: its event was already delivered. `stored`: it will be sent again. */
  readonly how: 'duplicate' | 'stored' | 'not stored';
  /** The side whose failure ended the forwarding; null if neither's did. */
  readonly failed: 'client' | 'upstream' | null;
  /** The status of the app's answer; 0 if none has begun. */
  readonly status: number;
}

/** True for a status which says that the app has not taken the delivery, but may take it if it is sent again. */
export function mayBeTakenLater(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/** Decides the fate. An answer that we cut off because its client was too slow still counts as given. */
export function fateOf({ how, failed, status }: DeliveryEnd): Fate {
  if (how === 'duplicate') return 'duplicate';
  if (how === 'stored') return 'deferred';
  if (status === 0) return failed === null ? 'abandoned' : 'failed';
  if (failed === 'upstream' || mayBeTakenLater(status)) return 'failed';
  return status >= 400 ? 'refused' : 'taken';
}

/** The fates that a route can give. Their metric series start at 0; a fate that is missing here is never counted. */
export function possibleFates({ action, once, redeliver }: Pick<Route, 'action' | 'once' | 'redeliver'>) {
  if (action !== 'verify') return [];
  const lacks: Partial<Record<Fate, boolean>> = { duplicate: once === null, deferred: redeliver === null };
  return FATES.filter((fate) => lacks[fate] !== true);
}

// --- deferred deliveries

/**
 * `stopped`: the app refused it. `expired`: its window ended before the app took it. `unverified`: the rules of now do not
 * accept it. Sent unasked: those `waiting`, and `unverified` ones once the rules accept them.
 */
export const DEFERRED_STATES = ['waiting', 'stopped', 'expired', 'unverified'] as const;
export type DeferredState = (typeof DEFERRED_STATES)[number];

/** After so many failures, while the app took others as new or newer, a failure speaks of this event alone. */
export const POISON_ATTEMPTS = 3;

/** How deferred deliveries end. `replaced`: an equal fresh one was taken, or stored in its place. */
const ENDS = ['delivered', 'dropped', 'lost', 'replaced'] as const;
/** Ends, and why a deferred delivery that is still there no longer waits. */
export const REDELIVERY_RESULTS = [...ENDS, 'client_error', 'expired', 'unverified'] as const;
export type RedeliveryResult = (typeof REDELIVERY_RESULTS)[number];

export interface RedeliveryEnd {
  readonly result: RedeliveryResult;
  /** The path of the delivery's route when it was stored or last tried; or `unmatched`. */
  readonly route: string;
}
