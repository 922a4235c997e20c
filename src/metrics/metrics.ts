// The metrics (spec §10): one verb for each thing that happens, one number added for each series it touches. The set of
// series follows the plan alone; whatever a client sends must never add to it.

import type { RequestRecord } from '../core/record.ts';
import { Cell } from './cells.ts';
import type { Exposed, Exposition } from './exposition.ts';
import { plannedFamilies } from './families.ts';
import { RouteCells } from './route-cells.ts';
import type { GaugeSources, MetricState, SeriesPlan } from './series-plan.ts';

export interface Metrics {
  /** Once for each request, when it has ended. */
  record(record: RequestRecord): void;
  /** An interim response of the upstream (103 for one) on its way to the client. */
  recordInformational(route: string): void;
  /** After a reload: series of new routes and secrets begin at 0, those that stay go on, those gone are removed. */
  replan(plan: SeriesPlan): void;
  /** `atMs`: epoch milliseconds. */
  reloaded(result: 'success' | 'failure', atMs: number): void;
  onceStoreFailure(): void;
  setUpstreamExposed(exposed: boolean): void;
  /** The secret has a new value, or its first: its last match was the old value's, which is `<id>.previous` now, or gone. */
  replaced(secretId: string): void;
  /** Epoch seconds; 0 where the secret has not matched in this process. */
  lastMatch(secretId: string): number;
  /** Loads what `expose` needs, and begins to watch event loop and collector; `expose` does so by itself. */
  prepare(): Promise<unknown>;
  /** The exposition in the format that the Accept header prefers. */
  expose(accept: string | undefined): Promise<Exposed>;
}

export function createMetrics(plan: SeriesPlan, sources: GaugeSources): Metrics {
  const state: MetricState = {
    plan,
    routes: new Map(),
    lastMatches: new Map(),
    changes: new Map(),
    reloads: { success: new Cell({ result: 'success' }), failure: new Cell({ result: 'failure' }) },
    onceStoreFailures: new Cell({}),
    lastReloadOk: true,
    lastReloadSuccessAt: sources.now(),
    upstreamExposed: false,
  };
  replan(state, plan);
  let exposition: Promise<Exposition> | null = null;
  const prepare = () => {
    exposition ??= import('./exposition.ts').then((part) => part.createExposition(plannedFamilies(state, sources)));
    return exposition;
  };
  return {
    record: (record) => recordRequest(state, record, sources),
    recordInformational: (route) => countResponse(routeOf(state, route), 100),
    replan: (next) => replan(state, next),
    reloaded: (result, atMs) => {
      state.reloads[result].value++;
      state.lastReloadOk = result === 'success';
      if (result === 'success') state.lastReloadSuccessAt = atMs;
    },
    onceStoreFailure: () => {
      state.onceStoreFailures.value++;
    },
    setUpstreamExposed: (exposed) => {
      state.upstreamExposed = exposed;
    },
    replaced: (secretId) => {
      const change = state.changes.get(secretId);
      if (change !== undefined) change.value = sources.now() / 1000;
      const last = state.lastMatches.get(secretId);
      if (last === undefined) return;
      const previous = state.lastMatches.get(`${secretId}.previous`);
      if (previous !== undefined) previous.value = last.value;
      last.value = 0;
    },
    lastMatch: (secretId) => state.lastMatches.get(secretId)?.value ?? 0,
    prepare,
    expose: async (accept) => (await prepare()).expose(accept),
  };
}

/** The cells of the label, or of `unmatched` where a reload has taken the route away meanwhile. */
function routeOf(state: MetricState, label: string): RouteCells | undefined {
  return state.routes.get(label) ?? state.routes.get('unmatched');
}

// Runs for each request: 0.07 us for an accepted one (Node 26, hot), where prom-client's labelled inc and observe took 0.9.
function recordRequest(state: MetricState, r: RequestRecord, sources: GaugeSources): void {
  let route = routeOf(state, r.route);
  let outcome = route?.outcome(r.decision, r.reason);
  if (outcome === undefined) {
    route = state.routes.get('unmatched');
    outcome = route?.outcome(r.decision, r.reason);
  }
  if (route === undefined || outcome === undefined) return; // not planned: a lost count is better than a new series
  outcome.requests.value++;
  outcome.duration.observe(r.durationMs / 1000);
  if (r.verifyMs >= 0) route.verification?.observe(r.verifyMs / 1000);
  if (r.bodyBytes > 0 || r.verifyMs >= 0 || r.decision !== 'rejected') route.body?.observe(r.bodyBytes);
  if (r.upstreamStatus > 0) countResponse(route, r.upstreamStatus);
  if (r.upstreamMs >= 0) route.upstream?.duration.observe(r.upstreamMs / 1000);
  if (r.upstreamFailure !== null && route.upstream !== null) route.upstream.failures[r.upstreamFailure].value++;
  if (r.secret !== null) countMatch(state, route, r.secret, sources);
}

function countResponse(route: RouteCells | undefined, status: number): void {
  const cell = route?.upstream?.responses[Math.floor(status / 100) - 1];
  if (cell !== undefined) cell.value++;
}

function countMatch(state: MetricState, route: RouteCells, secret: string, sources: GaugeSources): void {
  const matches = route.secrets.get(secret);
  if (matches !== undefined) matches.value++;
  const last = state.lastMatches.get(secret);
  if (last !== undefined) last.value = sources.now() / 1000;
}

function replan(state: MetricState, plan: SeriesPlan): void {
  state.plan = plan;
  const labels = new Set(plan.routes.map((route) => route.label));
  for (const label of state.routes.keys()) if (!labels.has(label)) state.routes.delete(label);
  for (const { label, shape, secrets } of plan.routes) {
    const cells = state.routes.get(label) ?? new RouteCells(label);
    state.routes.set(label, cells);
    cells.adapt(shape, secrets);
  }
  const ids = plan.secrets.map((secret) => secret.id);
  keepCells(state.lastMatches, ids);
  keepCells(
    state.changes,
    ids.filter((id) => !id.endsWith('.previous')),
  );
}

/** One cell a secret: those that stay go on, new ones begin at 0. */
function keepCells(cells: Map<string, Cell>, ids: readonly string[]): void {
  const wanted = new Set(ids);
  for (const id of cells.keys()) if (!wanted.has(id)) cells.delete(id);
  for (const id of wanted) if (!cells.has(id)) cells.set(id, new Cell({ secret: id }));
}
