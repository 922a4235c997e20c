// What redelivery needs from the process.
import type { ByteBudget } from '../bodies/budget.ts';
import type { Policy } from '../core/policy.ts';
import type { RedeliveryResult } from '../core/request-record.ts';
import type { Deliveries } from '../once/deliveries.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Teller } from './grouped-log.ts';
import type { DeferredStore, OnStoreChange } from './stores/store.ts';

export interface RedeliveryParts {
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Called only for routes with `once`. */
  readonly deliveries: () => Deliveries;
  readonly open: (onChange: OnStoreChange) => Promise<DeferredStore>;
  /** `redelivery.name`. */
  readonly name: string;
  readonly maxHeader: () => number;
  /** The most bytes of one delivery that the store reads. */
  readonly mostBytes: () => number;
  /** The longest `redeliver` of all routes, in milliseconds. Null: no route has it, so nothing is sent. */
  readonly longestWindow: () => number | null;
  readonly tell: Teller;
  /** `route` as configured; null if it is unknown. */
  readonly onResult: (route: string | null, result: RedeliveryResult) => void;
}
