// A policy: the routes, secrets and settings that apply to requests. It is frozen, and a reload swaps it in one step. A
// request keeps the policy that it began with.
import type { Keyring } from './keyring.ts';
import type { RouteTable } from './routes.ts';

export interface Policy {
  readonly routes: RouteTable;
  readonly keyring: Keyring;
  /** Times in milliseconds. */
  readonly settings: {
    readonly bodyTimeout: number;
    /** Bytes. */
    readonly maxHeader: number;
    /** The maximum number of client connections; at most half of them may be tunnels. */
    readonly connections: number;
    /** `storable`: for a delivery that is stored if the upstream does not take it. */
    readonly retryConnectFor: Readonly<Record<'plain' | 'storable', number>>;
    readonly responseTimeout: number;
    readonly idleTimeout: number;
    readonly forwardedHeaders: 'none' | 'overwrite';
  };
  /** True for the address of a proxy whose X-Forwarded-For may name the client. */
  readonly trusts: (address: string) => boolean;
}
