// A policy: routes, secrets and the settings that requests go by, frozen, and swapped in one step by a reload. A request keeps
// the policy that it began with.
import type { Keyring } from './keyring.ts';
import type { RouteTable } from './routes.ts';

/** Times in milliseconds. */
export interface RequestSettings {
  readonly bodyTimeout: number;
  /** Connections at most; half of them may be tunnels. */
  readonly connections: number;
  readonly retryConnectFor: number;
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  readonly forwardedHeaders: 'none' | 'overwrite';
}

export interface Policy {
  readonly routes: RouteTable;
  readonly keyring: Keyring;
  readonly settings: RequestSettings;
  /** True for an address whose X-Forwarded-For may name the client. */
  readonly trusts: (address: string) => boolean;
}
