// The cells of one route, looked up once per request and then plain fields. The route and its secrets fix the set of
// series: recording must never add one.
import { type Decision, possibleOutcomes, type Reason } from '../core/decision.ts';
import { UPSTREAM_FAILURES, type UpstreamFailure } from '../core/record.ts';
import type { Route } from '../core/routes.ts';
import { type Cell, cell, HistogramCell } from './cells.ts';
import { METRICS, STATUS_CLASSES } from './metric-table.ts';

interface DecisionCells {
  readonly requests: Map<Reason | 'none', Cell>;
  readonly duration: HistogramCell;
}

interface UpstreamCells {
  /** By class: `1xx` first. */
  readonly responses: readonly Cell[];
  readonly failures: Readonly<Record<UpstreamFailure, Cell>>;
  readonly duration: HistogramCell;
}

export class RouteCells {
  // Two levels of constant strings: a map of joined strings would build and hash a string for each request.
  readonly decisions = new Map<Decision, DecisionCells>();
  /** Null where the route does not verify. */
  verification: HistogramCell | null = null;
  /** Null where the route never reads a body. */
  body: HistogramCell | null = null;
  /** Null if the route never uses the upstream. */
  upstream: UpstreamCells | null = null;
  readonly secrets = new Map<string, Cell>();

  /**
   * Adds the cells that the route and its secrets need, and removes those of removed secrets. Outcomes of the old route
   * stay: requests that began under it still end, and a counter that disappears loses its last increments.
   */
  adapt(adapted: Route, secrets: readonly string[]): void {
    const { path: route, action } = adapted;
    for (const [decision, reason] of possibleOutcomes(adapted)) {
      const cells = this.decisions.get(decision) ?? {
        requests: new Map(),
        duration: new HistogramCell({ route, decision }, METRICS.request_duration_seconds.buckets),
      };
      this.decisions.set(decision, cells);
      if (!cells.requests.has(reason)) cells.requests.set(reason, cell({ route, decision, reason }));
    }
    if (action !== 'reject') {
      this.body ??= new HistogramCell({ route }, METRICS.request_body_bytes.buckets);
      this.upstream ??= upstreamCells(route);
    }
    if (action === 'verify') {
      this.verification ??= new HistogramCell({ route }, METRICS.verification_duration_seconds.buckets);
    }
    keepCells(this.secrets, secrets, (secret) => ({ route, secret }));
  }
}

function upstreamCells(route: string): UpstreamCells {
  const failures = UPSTREAM_FAILURES.map((cause) => [cause, cell({ route, cause })] as const);
  return {
    responses: STATUS_CLASSES.map((code) => cell({ route, code })),
    failures: Object.fromEntries(failures) as Record<UpstreamFailure, Cell>,
    duration: new HistogramCell({ route }, METRICS.upstream_duration_seconds.buckets),
  };
}

/** One cell per id: existing ones keep counting, new ones begin at 0, others are removed. */
export function keepCells(
  cells: Map<string, Cell>,
  ids: readonly string[],
  labels: (id: string) => Record<string, string>,
): void {
  for (const id of cells.keys()) if (!ids.includes(id)) cells.delete(id);
  for (const id of ids) if (!cells.has(id)) cells.set(id, cell(labels(id)));
}
