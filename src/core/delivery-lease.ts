// What `once` (spec §12) wants to know of a delivery's end: the upstream's exchange tells it, the deliveries hear it.

/** Only the first of the two to be called counts. */
export interface DeliveryLease {
  /** The upstream answered 2xx, to the end. */
  delivered(): void;
  /** Anything else: a retry goes through. */
  failed(): void;
}
