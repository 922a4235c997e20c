// The state of the proxy, gathered from its parts for the status page and /api/status; and the log of its problems.
import type { Advice } from '../admin/advice/advice.ts';
import type { DeferredStatus, Probed, RouteStatus, SecretStatus, StatusSnapshot } from '../admin/snapshot.ts';
import { isDirectory } from '../base/default-places.ts';
import { DOCS, VERSION } from '../base/version.ts';
import type { Config } from '../config/config.ts';
import { stateOf } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import type { Log } from '../log/log.ts';
import type { Claims } from '../once/claims.ts';
import type { Queue } from '../redelivery/queue.ts';
import { windowOf } from '../redelivery/turn.ts';
import type { SecretMaterial } from '../secrets/sources.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import { routesOf } from './ruleset.ts';

/** The status now. `startedAt` is in epoch milliseconds, and so is `at` below. */
export function statusNow(startedAt: number, live: LiveRuleset, probed: Probed): StatusSnapshot {
  const { listener, upstream, exposure, metrics, output, claims, redelivery } = live.services;
  const { ready, causes, error } = probed;
  const { loaded, policy, materials } = live.ruleset;
  const requests = live.services.recent.view();
  const at = Date.now();
  return {
    ...{ version: VERSION, nodeVersion: process.version, startedAt, now: at },
    ...{ ready, causes, draining: listener.draining },
    upstream: {
      ...{ url: upstream.options.url, reachable: error === null, error },
      ...{ exposed: exposure.state === 'exposed', exposure: exposure.state },
    },
    routes: routesOf(loaded.config).map((route) => ({
      ...routeStatus(route, policy, at),
      traffic: live.services.recent.traffic.of(route.path),
    })),
    secrets: materials.map((material) => ({
      ...secretStatus(material, at, metrics.lastMatch(material.id)),
      deferred: redelivery.storeState.signedBy(material.key),
    })),
    config: {
      file: loaded.file,
      sha256: loaded.sha256,
      since: live.ruleset.since,
      warnings: [...loaded.warnings.map(({ key, message }) => `${key}: ${message}`), ...live.ruleset.warnings],
      awaitingRestart: live.awaitingRestart,
    },
    connections: { open: listener.connections, limit: loaded.config.limits.connections },
    certificates: live.ruleset.certificates,
    log: { dropped: output.dropped, lastDropped: output.lastDropped },
    lastReload: live.lastReload,
    once: onceStatus(claims(), loaded.config.once),
    deferred: redelivery.isOpen ? deferredStatus(redelivery, policy) : null,
    ...requests,
    docs: DOCS,
  };
}

function routeStatus(route: Route, { keyring }: Policy, at: number): Omit<RouteStatus, 'traffic'> {
  const { path, action, mode, reportUntil, methods, query, once, redeliver } = route;
  const verifies = action === 'verify';
  const secretIds = verifies ? keyring.listed(route.secrets).map(({ id }) => id) : [];
  const liveSecrets = verifies ? keyring.live(route.secrets, at).length : 0;
  const maxBody = verifies ? route.maxBody : null;
  return { path, action, mode, reportUntil, methods, secretIds, liveSecrets, maxBody, query, once, redeliver };
}

/** `lastMatch` is epoch seconds. */
function secretStatus(material: SecretMaterial, at: number, lastMatch: number): Omit<SecretStatus, 'deferred'> {
  const { id, source, key, warnings, notBefore, notAfter, adoptedAt: changedAt } = material;
  const state = key === null ? 'unusable' : stateOf(material, at);
  const note = warnings.join('; ') || null;
  return { id, source, state, problem: material.problem, note, notBefore, notAfter, lastMatch, changedAt };
}

/** The state of `once`; null until a route uses it. A store's URL may hold a user, so only its host is shown. */
function onceStatus(claims: Claims | null, { store, onStoreFailure }: Config['once']): StatusSnapshot['once'] {
  if (claims === null) return null;
  const host = store === 'memory' ? store : new URL(store).host;
  return { store: host, entries: claims.entries(), problem: claims.failure, onStoreFailure };
}

/** Reads only the last summary, so it is cheap even with tens of thousands of deliveries. */
export function deferredStatus({ place, sends, storeState }: Queue, policy: Policy): DeferredStatus {
  const { problem, turnedAway, loss, at: known } = storeState;
  const { groups, soonest } = storeState.summary;
  const waiting = storeState.total('waiting');
  const stopped = storeState.total('stopped');
  const unverified = storeState.total('unverified');
  const losses = groups.flatMap(({ state, route, oldest: came }) => {
    const window = windowOf(policy, route);
    return state === 'waiting' && window !== null && came > 0 ? [{ at: came + window, came }] : [];
  });
  return {
    store: isDirectory(place) ? place : new URL(place).host,
    problem: problem?.why ?? null,
    problemKind: problem?.kind ?? 'failing',
    turnedAwayAt: turnedAway?.at ?? null,
    storeLost: loss,
    firstLoss: losses.toSorted((one, other) => one.at - other.at)[0] ?? null,
    sends,
    ...{ waiting: waiting.deliveries, stopped: stopped.deliveries, unverified: unverified.deliveries },
    whys: groups
      .filter(({ state }) => state === 'unverified')
      .map(({ failure: why, secret, deliveries }) => ({ why, secret, deliveries })),
    bytes: waiting.bytes + stopped.bytes + unverified.bytes,
    oldest: waiting.oldest || null,
    deliveries: soonest.map(({ id, state, wait, note }) => {
      const { at = 0, route = null, attempts = 0, failure: lastFailure = 'unreadable' } = note ?? {};
      const nextTry = state === 'waiting' ? Math.round(known + wait) : null;
      return { id, state, at, route, attempts, lastFailure, nextTry };
    }),
  };
}

// --- the log

/** Milliseconds. A problem that lasts, or comes and goes, is logged once an hour. */
const AGAIN_AFTER = 3_600_000;

/** Of the notes only `signed-unverified` is logged, since such requests may be deliveries that nobody verifies. */
const LEVELS = { failed: 'error', warning: 'warn', note: 'info' } as const;

/**
 * Logs every problem of the status page, even one that shows in no request's line, such as a certificate that expires
 * or a store that fails: nobody should have to look at a page to learn of it.
 */
export class DiagnosisLog {
  readonly #log: Log;
  readonly #told = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  look(advice: readonly Advice[], now: number): void {
    for (const { id, state, message, remedy, page, follows } of advice) {
      if (state === 'ok' || (state === 'note' && id !== 'signed-unverified')) continue;
      const told = `${state} ${id}`;
      if (now - (this.#told.get(told) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER) continue;
      this.#told.set(told, now);
      const also = follows.length === 0 ? {} : { follows: follows.map((one) => one.id) };
      this.#log[LEVELS[state]]('diagnosis', { diagnosis: id, problem: message, remedy, page, ...also });
    }
  }
}
