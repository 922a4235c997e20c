// The facts about the proxy beside the ledger of deliveries, gathered from its parts for the judge and the status page. They
// must never hold a secret's value, a header's value, a query or a body. Times are epoch milliseconds. Operators rely on
// the names of the keys: docs/admin.md lists them.
import { resolve } from 'node:path';
import { DOCS, isDirectory, VERSION } from './base/default-places.ts';
import type { Policy } from './core/admission.ts';
import type { DeferredState } from './core/fate-by-status.ts';
import { stateOf } from './core/keyring.ts';
import { inForce, type Route } from './core/routes.ts';
import { windowOf } from './redelivery/next-state.ts';
import type { Queue } from './redelivery/queue.ts';
import { wantOf } from './redelivery/record.ts';
import type { Entry, Loss } from './redelivery/stores/store.ts';
import type { Readiness } from './runtime/readiness.ts';
import type { LiveRuleset } from './runtime/reload.ts';
import { hasMatched, lastMatch } from './secrets/key-from-value.ts';
import type { SecretMaterial } from './secrets/sources.ts';

export type Facts = ReturnType<typeof factsNow>;
export type RouteFacts = Facts['routes'][number];
export type SecretFacts = Facts['secrets'][number];
export type CertificateFacts = Facts['certificates'][number];
export type DeferredFacts = NonNullable<Facts['deferred']>;
export type DeferredDelivery = DeferredFacts['deliveries'][number];

/** Milliseconds. A longer answer is slow, and so is one that takes a third of `responseTimeout`: see *slow-app*. */
export const SLOW_MS = 5000;

export type Probed = Readonly<ReturnType<Readiness['unprobed']>>;

export interface Reload {
  readonly ok: boolean;
  readonly at: number;
  readonly error: string | null;
  /** True if `serve` would refuse what was read; of secrets alone it refuses none. */
  readonly refused: boolean;
}

/** The proxy as it runs: the facts are gathered from its parts, and from the rules in force. */
type Live = Pick<LiveRuleset, 'services' | 'ruleset' | 'lastReload' | 'reloads' | 'awaitingRestart'>;

export function factsNow(from: Live, { ready, causes, error }: Probed) {
  const { listener, upstream, exposure, output, once, redelivery, descriptors } = from.services;
  const { loaded, policy, materials, since, warnings, certificates } = from.ruleset;
  const now = Date.now();
  return {
    version: VERSION,
    nodeVersion: process.version,
    startedAt: Math.round(now - performance.now()), // right also where the clock was set since
    now,
    ready,
    causes,
    draining: listener.draining,
    upstream: {
      url: upstream.options.url,
      reachable: error === null,
      error,
      certificate: upstream.certificate,
      exposed: exposure.state === 'exposed',
      exposure: exposure.state,
    },
    routes: policy.routes.all.map((route) => routeStatus(route, from.ruleset, now)),
    secrets: materials.map((secret) => ({
      ...secretStatus(secret, now),
      lastMatch: lastMatch(secret.key),
      deferred: redelivery.isUsed && !redelivery.isCounted ? null : redelivery.storeState.signedBy(secret.key),
    })),
    config: {
      /** Absolute: `check` may run in another directory. */
      file: loaded.file && resolve(loaded.file),
      sha256: loaded.sha256,
      since,
      warnings: [...loaded.warnings.map(({ key, message }) => `${key}: ${message}`), ...warnings],
      awaitingRestart: from.awaitingRestart,
    },
    connections: { open: listener.connections, limit: loaded.config.limits.connections, most: listener.mostOfOne },
    unanswered: listener.unanswered(SLOW_MS),
    descriptors: descriptors.read(),
    certificates,
    log: { dropped: output.dropped, lastDropped: output.lastDropped },
    lastReload: from.lastReload,
    reloads: from.reloads,
    once: onceStatus(once()),
    deferred: redelivery.isUsed ? deferredStatus(redelivery, policy) : null,
    docs: DOCS,
  };
}

function routeStatus(route: Route, { policy: { keyring }, materials }: Live['ruleset'], at: number) {
  const { path, action, mode, reportUntil, methods, query, once, redeliver } = inForce(route, at);
  const verifies = action === 'verify';
  const live = verifies ? keyring.live(route.secrets, at) : [];
  return {
    path,
    action,
    mode,
    reportUntil,
    methods,
    /** Ids of secrets that can match here, `current.previous` included. */
    secretIds: verifies ? keyring.listed(route.secrets).map(({ id }) => id) : [],
    unknownIds: (route.secrets ?? []).filter((id) => materials.every((secret) => secret.id !== id)),
    liveSecrets: live.length,
    /** Those of them that have verified a delivery here since the start. */
    provenSecrets: live.filter(({ key }) => hasMatched(key, path)).length,
    /** Bytes; null if the route has no limit (forward, reject). */
    maxBody: verifies ? route.maxBody : null,
    query,
    once,
    redeliver,
  };
}

function secretStatus({ id, source, key, problem, warnings, adoptedAt, sameAs, ...dates }: SecretMaterial, at: number) {
  const { notBefore, notAfter } = dates;
  return {
    id,
    source,
    state: key === null ? ('unusable' as const) : stateOf(dates, at),
    /** Why the secret cannot be read or used; never null if `state` is `unusable`. */
    problem,
    note: warnings.join('; ') || null,
    sameAs,
    notBefore,
    /** Of a `.previous` value, the end of its overlap. */
    notAfter,
    changedAt: adoptedAt,
  };
}

/** The state of `once`; null until a route uses it. A store's URL may hold a user, so only its host is shown. */
function onceStatus(opened: ReturnType<Live['services']['once']>) {
  if (opened === null) return null;
  const { claims, settings } = opened;
  const { store, name, onStoreFailure } = settings;
  const host = store === 'memory' ? store : new URL(store).host;
  const { failure: problem, isKnown, unclaimed } = claims;
  const [entries, evicts] = [claims.entries(), claims.evicts()];
  /** True if another app could share it unseen. */
  const isUnnamed = store !== 'memory' && name === '';
  return { store: host, isUnnamed, entries, isKnown, problem, evicts, unclaimed, onStoreFailure };
}

/** Reads only the last summary, so it is cheap even with tens of thousands of deliveries. */
export function deferredStatus({ location, sends, storeState }: Queue, policy: Policy) {
  const { problem, lastNotStored: turnedAway, crowded, summary, summedAt } = storeState;
  const { groups, soonest, losses, lostLately, aside, evicts } = summary;
  /** Null before the store was tested and counted for the first time. */
  const counted = <T>(value: T) => (summedAt > 0 ? value : null);
  const total = (state: DeferredState) => counted(storeState.total(state).deliveries);
  const ofState = (of: DeferredState) => groups.filter(({ state }) => state === of);
  /** When the window of the first of them ends, and when that came; null if there is none. */
  const firstEnd = (of: typeof groups) => {
    const ends = of.flatMap(({ route, oldest: came }) => {
      const window = windowOf(policy, route);
      return window !== null && came > 0 ? [{ at: came + window, came }] : [];
    });
    return ends.toSorted((a, b) => a.at - b.at)[0] ?? null;
  };
  return {
    store: isDirectory(location) ? location : new URL(location).host,
    state: problem?.kind ?? counted('works' as const) ?? ('unknown' as const),
    problem: problem?.why ?? null,
    turnedAway,
    crowded,
    lastSeen: storeState.lastSeen,
    firstEnd: firstEnd(ofState('waiting')),
    firstUnverified: firstEnd(ofState('unverified')),
    sends,
    waiting: total('waiting'),
    stopped: total('stopped'),
    expired: total('expired'),
    unverified: total('unverified'),
    waits: [...Map.groupBy(ofState('waiting'), ({ route }) => route)].map(([route, all]) => {
      const deliveries = all.reduce((sum, group) => sum + group.deliveries, 0);
      return { route, deliveries, end: firstEnd(all)?.at ?? null };
    }),
    whys: ofState('unverified').map((group) => {
      const { route, deliveries, oldest: came } = group;
      return { ...wantOf({ ...group, came }, policy), route, deliveries };
    }),
    /** Of all that is stored; null while that is not known. */
    routes: storeState.isCurrent ? [...new Set(groups.map(({ route }) => route))] : null,
    bytes: counted(storeState.total('all').bytes),
    filling: counted(storeState.filling),
    oldest: storeState.total('waiting').oldest || null,
    deliveries: soonest.map((entry) => deliveryStatus(entry, summedAt, sends)),
    losses: losses.map(lossStatus),
    lostLately: counted(lostLately),
    aside,
    evicts,
  };
}

function deliveryStatus({ id, state, wait, asked, leased, note }: Entry, summedAt: number, sends: boolean) {
  const { came: at = null, route = null, attempts = null, passed = 0, failure = 'unreadable' } = note ?? {};
  const turn = turnOf({ state, asked, leased }, summedAt + wait, sends);
  return { id, state, at, route, attempts, passed, lastFailure: failure, ...turn };
}

type Turn = Pick<Entry, 'state' | 'asked' | 'leased'>;
/** What a stored delivery waits for until `due`, in epoch milliseconds. */
export const turnOf = ({ state, asked, leased: sending }: Turn, due: number, sends: boolean) => ({
  /** Null if it is neither sent again automatically nor asked for. */
  nextTry: (state === 'waiting' || asked) && sends ? Math.round(due) : null,
  /** When it is removed unless a person decides before; null if it waits, was asked for, or that is not known. */
  keptUntil: !asked && (state === 'stopped' || state === 'expired') ? Math.round(due) : null,
  sending,
});

/** `why`: `keep`, `room`, `record` (the store lost it), or, with an empty `id`, what happened to the store. */
export function lossStatus({ at, id, note, why, events }: Loss) {
  const { came = null, route = null, attempts = null, failure: lastFailure = '' } = note ?? {};
  return { at, id, route, came, attempts, lastFailure, why, events };
}
