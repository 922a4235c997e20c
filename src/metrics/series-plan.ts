// Which series there are and what a scrape reads: what app.ts tells the metrics, and what the metrics keep.
// A label in a plan comes from the config, never from a request.
import type { OutcomeShape } from '../core/decision.ts';
import type { Cell } from './cells.ts';
import type { CertificateName } from './metric-table.ts';
import type { RouteCells } from './route-cells.ts';

export interface RoutePlan {
  /** The route's path as configured, or `unmatched`. */
  readonly label: string;
  readonly shape: OutcomeShape;
  /** The ids that can match there, `current.previous` included. */
  readonly secrets: readonly string[];
  /** True while the route reports; asked at each scrape, for `reportUntil` passes by itself. */
  readonly reportActive: () => boolean;
}

export interface SecretPlan {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly notAfter: number | null;
  /** Asked at each scrape. */
  readonly live: () => boolean;
}

export interface CertificatePlan {
  readonly name: CertificateName;
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/** Which series there are. `unmatched` is one of the routes. */
export interface SeriesPlan {
  readonly routes: readonly RoutePlan[];
  readonly secrets: readonly SecretPlan[];
  readonly certificates: readonly CertificatePlan[];
  /** Of the config file; never of a secret. */
  readonly configSha256: string;
  readonly once: boolean;
  readonly checkExposure: boolean;
}

/** Asked at each scrape. */
export interface GaugeSources {
  inFlight(): number;
  connections(): number;
  bufferedBytes(): number;
  bufferedBytesLimit(): number;
  onceEntries(): number;
  /** Epoch milliseconds. */
  now(): number;
  readonly version: string;
}

/** What the families read at a scrape. */
export interface MetricState {
  plan: SeriesPlan;
  readonly routes: Map<string, RouteCells>;
  /** By secret; the value is epoch seconds. */
  readonly lastMatches: Map<string, Cell>;
  /** By secret, replaced values left out; the value is epoch seconds. */
  readonly changes: Map<string, Cell>;
  readonly reloads: { readonly success: Cell; readonly failure: Cell };
  readonly onceStoreFailures: Cell;
  lastReloadOk: boolean;
  /** Epoch milliseconds. */
  lastReloadSuccessAt: number;
  upstreamExposed: boolean;
}
