// The parts of the process that redelivery needs, in one type.
import type { ByteBudget } from '../bodies/budget.ts';
import type { Policy } from '../core/admission.ts';
import type { RedeliveryEnd } from '../core/fate-by-status.ts';
import type { SentAgain } from '../core/request-record.ts';
import type { Claims } from '../once/claims.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { StoreOptions } from './stores/store.ts';

export type Fields = Readonly<Record<string, string | number>>;

export interface Needs {
  /** The policy in force. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Called only for routes with `once`. */
  readonly claims: () => Claims;
  /** The configuration's settings of the store; in queue.ts, those with which it was opened. */
  readonly storeSettings: () => Pick<StoreOptions, 'store' | 'name' | 'passwordFile' | 'readPassword' | 'maxBytes'> & {
    /** Milliseconds for which an event that is not sent by itself is kept after its window. */
    readonly keep: number;
  };
  readonly log: Readonly<Record<'info' | 'warn' | 'error', (message: string, fields: Fields) => void>>;
  /** Writes the line of a loss. False if the log did not take it. */
  readonly tellLoss: (fields: Fields) => Promise<boolean>;
  readonly onResult: (ended: RedeliveryEnd) => void;
  readonly onSending: (sending: SentAgain) => void;
}
