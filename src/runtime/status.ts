// The facts about the proxy, gathered from its parts for the judge; and the log of its problems.
import { isDirectory } from '../base/default-places.ts';
import { DOCS, VERSION } from '../base/version.ts';
import type { Config } from '../config/config.ts';
import { stateOf } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import type { DeferredState } from '../core/redelivery-record.ts';
import type { Route } from '../core/routes.ts';
import type { Probed } from '../health/facts.ts';
import type { Advice } from '../health/judge.ts';
import type { Log } from '../log/log.ts';
import type { Claims } from '../once/claims.ts';
import type { Queue } from '../redelivery/queue.ts';
import type { Entry, Loss } from '../redelivery/stores/store.ts';
import { windowOf } from '../redelivery/turn.ts';
import type { SecretMaterial } from '../secrets/sources.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import { routesOf } from './ruleset.ts';

/** The facts now; docs/admin.md says what each key means. `startedAt`, and `at` below, are epoch milliseconds. */
export function factsNow(startedAt: number, live: LiveRuleset, { ready, causes, error }: Probed) {
  const { listener, upstream, exposure, metrics, output, claims, redelivery, descriptors } = live.services;
  const { loaded, policy, materials, since, warnings, certificates } = live.ruleset;
  const { storeState } = redelivery;
  const now = Date.now();
  return {
    version: VERSION,
    nodeVersion: process.version,
    startedAt,
    now,
    ready,
    causes,
    draining: listener.draining,
    upstream: {
      url: upstream.options.url,
      /** False if two attempts to connect failed or timed out, TLS handshake included; `error` says why. */
      reachable: error === null,
      error,
      exposed: exposure.state === 'exposed',
      exposure: exposure.state,
    },
    routes: routesOf(loaded.config).map((route) => routeStatus(route, policy, now)),
    secrets: materials.map((secret) => ({
      ...secretStatus(secret, now),
      /** Epoch seconds; 0 if the secret has not matched in this process. */
      lastMatch: metrics.lastMatch(secret.id),
      deferred: storeState.signedBy(secret.key),
    })),
    config: {
      file: loaded.file,
      sha256: loaded.sha256,
      since,
      warnings: [...loaded.warnings.map(({ key, message }) => `${key}: ${message}`), ...warnings],
      awaitingRestart: live.awaitingRestart,
    },
    connections: { open: listener.connections, limit: loaded.config.limits.connections },
    descriptors: descriptors.read(),
    certificates,
    log: { dropped: output.dropped, lastDropped: output.lastDropped },
    lastReload: live.lastReload,
    once: onceStatus(claims(), loaded.config.once),
    deferred: redelivery.isOpen ? deferredStatus(redelivery, policy) : null,
    docs: DOCS,
  };
}

function routeStatus(route: Route, { keyring }: Policy, at: number) {
  const { path, action, mode, reportUntil, methods, query, once, redeliver } = route;
  const verifies = action === 'verify';
  return {
    path,
    action,
    mode,
    reportUntil,
    methods,
    /** Ids of secrets that can match here, `current.previous` included. */
    secretIds: verifies ? keyring.listed(route.secrets).map(({ id }) => id) : [],
    liveSecrets: verifies ? keyring.live(route.secrets, at).length : 0,
    /** Bytes; null if the route has no limit (forward, reject). */
    maxBody: verifies ? route.maxBody : null,
    query,
    once,
    redeliver,
  };
}

function secretStatus({ id, source, key, problem, warnings, adoptedAt, ...dates }: SecretMaterial, at: number) {
  const { notBefore, notAfter } = dates;
  return {
    id,
    source,
    state: key === null ? ('unusable' as const) : stateOf(dates, at),
    /** Why the secret cannot be read or used; never null if `state` is `unusable`. */
    problem,
    /** An unusual trait of the value in use, for instance that it is short; null if it has none. */
    note: warnings.join('; ') || null,
    notBefore,
    /** That of a `.previous` value is the end of its overlap. */
    notAfter,
    /** When a reload brought this value into use; null for one that was in use from the start. */
    changedAt: adoptedAt,
  };
}

/** The state of `once`; null until a route uses it. A store's URL may hold a user, so only its host is shown. */
function onceStatus(claims: Claims | null, { store, onStoreFailure }: Config['once']) {
  if (claims === null) return null;
  const host = store === 'memory' ? store : new URL(store).host;
  const { failure: problem, isKnown } = claims;
  return { store: host, entries: claims.entries(), isKnown, problem, evicts: claims.evicts(), onStoreFailure };
}

/** Reads only the last summary, so it is cheap even with tens of thousands of deliveries. */
export function deferredStatus({ place, sends, storeState }: Queue, policy: Policy) {
  const { problem, turnedAwayAt, isKnown, summary } = storeState;
  const { groups, soonest, losses, lostLately, aside, evicts } = summary;
  const total = (state: DeferredState) => storeState.total(state).deliveries;
  /** When the window of the first delivery in a state ends, and when that came; null if there is none. */
  const firstEnd = (of: DeferredState) => {
    const ends = groups.flatMap(({ state, route, oldest: came }) => {
      const window = windowOf(policy, route);
      return state === of && window !== null && came > 0 ? [{ at: came + window, came }] : [];
    });
    return ends.toSorted((a, b) => a.at - b.at)[0] ?? null;
  };
  return {
    store: isDirectory(place) ? place : new URL(place).host,
    /** `unknown`: it has not answered yet. */
    state: problem?.kind ?? (isKnown ? ('works' as const) : ('unknown' as const)),
    /** Why it is full, slow or failing; else null. */
    problem: problem?.why ?? null,
    /** When a delivery was last turned away because of the store; null for never. */
    turnedAwayAt,
    firstEnd: firstEnd('waiting'),
    firstUnverified: firstEnd('unverified'),
    sends,
    waiting: total('waiting'),
    stopped: total('stopped'),
    expired: total('expired'),
    unverified: total('unverified'),
    /** Groups of unverified deliveries: why, in one word; the id of the secret that verified them at first; how many. */
    whys: groups
      .filter(({ state }) => state === 'unverified')
      .map(({ failure: why, secret, deliveries }) => ({ why, secret, deliveries })),
    bytes: storeState.bytes,
    oldest: storeState.total('waiting').oldest || null,
    deliveries: soonest.map((entry) => deliveryStatus(entry, storeState.at)),
    losses: losses.map(lossStatus),
    /** How many deliveries were lost in the last day. */
    lostLately,
    /** Damaged files that lie beside the store's own. */
    aside,
    /** The Redis policy by which the store may drop deliveries; null if it drops none. */
    evicts,
  };
}

function deliveryStatus({ id, state, wait, note }: Entry, seenAt: number) {
  const { at = 0, route = null, attempts = 0, passed = 0, failure = 'unreadable' } = note ?? {};
  const due = Math.round(seenAt + wait);
  /** Null if it is not sent again automatically. */
  const nextTry = state === 'waiting' ? due : null;
  /** When it is removed unless a person decides before; null if it waits, or that is not known. */
  const keptUntil = state === 'stopped' || state === 'expired' ? due : null;
  return { id, state, at, route, attempts, passed, lastFailure: failure, nextTry, keptUntil };
}

/** `why`: `keep`, `room`, `record` (the store lost it), or, with an empty `id`, what happened to the store. */
function lossStatus({ at, id, note, why, events }: Loss) {
  const { at: came = null, route = null, attempts = 0, failure: lastFailure = '' } = note ?? {};
  return { at, id, route, came, attempts, lastFailure, why, events };
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
  readonly #logged = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  look(advice: readonly Advice[], now: number): void {
    for (const { id, state, message, remedy, page, follows, route } of advice) {
      if (state === 'ok' || (state === 'note' && id !== 'signed-unverified')) continue;
      const kind = `${state} ${id} ${route}`;
      if (now - (this.#logged.get(kind) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER) continue;
      this.#logged.set(kind, now);
      const where = route === null ? {} : { route };
      const also = follows.length === 0 ? {} : { follows: follows.map((consequence) => consequence.id) };
      this.#log[LEVELS[state]]('diagnosis', { diagnosis: id, problem: message, remedy, page, ...where, ...also });
    }
  }
}
