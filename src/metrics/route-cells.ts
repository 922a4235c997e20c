// The cells of one route, found once a request and then plain fields. The set of series is fixed by the route's shape
// and its secrets: recording must never add one.
import { type Decision, type OutcomeShape, possibleOutcomes, type Reason } from '../core/decision.ts';
import { UPSTREAM_FAILURES, type UpstreamFailure } from '../core/record.ts';
import { Cell, HistogramCell } from './cells.ts';
import { METRICS, STATUS_CLASSES } from './metric-table.ts';

export interface Outcome {
  readonly requests: Cell;
  /** Shared by all reasons of one decision. */
  readonly duration: HistogramCell;
}

interface UpstreamCells {
  /** By class: `1xx` first. */
  readonly responses: readonly Cell[];
  readonly failures: Readonly<Record<UpstreamFailure, Cell>>;
  readonly duration: HistogramCell;
}

export class RouteCells {
  /** Null where the route does not verify. */
  verification: HistogramCell | null = null;
  /** Null where the route never reads a body. */
  body: HistogramCell | null = null;
  /** Null where the route never asks the upstream. */
  upstream: UpstreamCells | null = null;
  readonly secrets = new Map<string, Cell>();
  readonly durations = new Map<Decision, HistogramCell>();
  // Two maps of constant strings: one of joined strings would build and hash a string for each request.
  readonly #outcomes = new Map<Decision, Map<Reason | 'none', Outcome>>();
  readonly #label: string;

  constructor(label: string) {
    this.#label = label;
  }

  outcome(decision: Decision, reason: Reason | 'none'): Outcome | undefined {
    return this.#outcomes.get(decision)?.get(reason);
  }

  *outcomes(): Iterable<Outcome> {
    for (const reasons of this.#outcomes.values()) yield* reasons.values();
  }

  /**
   * Adds what the shape and secrets need and takes away the secrets that are gone. Outcomes of a former shape stay: the
   * requests that began under it still end, and a counter that vanishes loses its last increments.
   */
  adapt(shape: OutcomeShape, secrets: readonly string[]): void {
    const route = this.#label;
    for (const [decision, reason] of possibleOutcomes(shape)) this.#addOutcome(decision, reason);
    if (shape.action !== 'reject') {
      this.body ??= new HistogramCell({ route }, METRICS.request_body_bytes.buckets);
      this.upstream ??= upstreamCells(route);
    }
    if (shape.action === 'verify') {
      this.verification ??= new HistogramCell({ route }, METRICS.verification_duration_seconds.buckets);
    }
    for (const id of this.secrets.keys()) if (!secrets.includes(id)) this.secrets.delete(id);
    for (const id of secrets) if (!this.secrets.has(id)) this.secrets.set(id, new Cell({ route, secret: id }));
  }

  #addOutcome(decision: Decision, reason: Reason | 'none'): void {
    const route = this.#label;
    const reasons = this.#outcomes.get(decision) ?? new Map<Reason | 'none', Outcome>();
    this.#outcomes.set(decision, reasons);
    if (reasons.has(reason)) return;
    const buckets = METRICS.request_duration_seconds.buckets;
    const duration = this.durations.get(decision) ?? new HistogramCell({ route, decision }, buckets);
    this.durations.set(decision, duration);
    reasons.set(reason, { requests: new Cell({ route, decision, reason }), duration });
  }
}

function upstreamCells(route: string): UpstreamCells {
  const failures = UPSTREAM_FAILURES.map((cause) => [cause, new Cell({ route, cause })] as const);
  return {
    responses: STATUS_CLASSES.map((code) => new Cell({ route, code })),
    failures: Object.fromEntries(failures) as Record<UpstreamFailure, Cell>,
    duration: new HistogramCell({ route }, METRICS.upstream_duration_seconds.buckets),
  };
}
