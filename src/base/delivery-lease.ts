/** The right to deliver an event of `once`. Its holder calls one of the two methods; only the first call counts. */
export interface DeliveryLease {
  /** The upstream's 2xx has arrived completely. */
  delivered(): void;
  /** The event was not delivered, so a retry may go through. */
  failed(): void;
}
