// The ruleset in force: one reference that a reload swaps. Services adopt it; log, metrics and status page report it.
import type { RouteStatus, SecretStatus, StatusSnapshot } from '../admin/status.ts';
import type { Config } from '../config/config.ts';
import { outsideText, stateOf } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import type { Deliveries } from '../once/deliveries.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { isReplaced, retirePrevious } from '../secrets/rotation.ts';
import type { Inputs } from './inputs.ts';
import type { Outcome } from './reload.ts';
import { buildPolicy, buildRuleset, RESTART_ONLY, type Ruleset, routesOf } from './ruleset.ts';
import { createServices, type Effects, type Services } from './services.ts';

/** The longest wait of a timer here, since setTimeout allows only 24 days. */
const DAY_MS = 86_400_000;

export class LiveRuleset {
  /** The ruleset in force; only this class replaces it. */
  ruleset: Ruleset;
  readonly services: Services;
  readonly #atStart: Config;
  /** The warnings that hold now, as JSON: each is logged only once while it holds. */
  #logged: ReadonlySet<string> = new Set();
  #nextCheck: NodeJS.Timeout | undefined;
  #lastReload: StatusSnapshot['lastReload'] = null;

  /** Throws RulesetError if the inputs can't become a ruleset. */
  constructor(inputs: Inputs, effects: Effects) {
    this.ruleset = buildRuleset(inputs, null);
    this.#atStart = this.ruleset.loaded.config;
    this.services = createServices(this.ruleset, () => this.ruleset.policy, effects);
    this.#logWarnings();
    for (const { id, source, problem } of this.ruleset.materials) {
      if (problem !== null) this.services.log.error('a secret cannot be used', { secret: id, source, problem });
    }
  }

  /** Applies changed inputs. An unusable part keeps its old version: then the reload counts as failed. */
  apply(inputs: Inputs): Outcome {
    this.#adopt(buildRuleset(inputs, this.ruleset));
    const keys = this.#keysAwaitingRestart();
    if (keys.length > 0) this.services.log.warn('these changes need a restart', { keys });
    return this.endReload(this.ruleset.failures.join('\n') || null);
  }

  /** Reports that a reload has worked, or why not; returns its argument. */
  endReload(error: Outcome): Outcome {
    const { log, metrics } = this.services;
    const { loaded, policy } = this.ruleset;
    this.#lastReload = { ok: error === null, at: Date.now(), error };
    metrics.reloaded(error === null ? 'success' : 'failure');
    const secrets = policy.keyring.secrets.map(({ id }) => id);
    if (error === null) log.info('reloaded', { config_sha256: loaded.sha256, secrets });
    else log.error('reload failed: the previous state stays in use', { problems: error.split('\n') });
    return error;
  }

  /** Ends every overlap; returns their number. */
  retirePrevious(): number {
    const now = Date.now();
    const ended = this.ruleset.materials.filter((secret) => isReplaced(secret) && now < (secret.notAfter ?? 0));
    const materials = retirePrevious(this.ruleset.materials, now);
    const policy = buildPolicy(this.ruleset.loaded.config, materials);
    this.#adopt(Object.freeze({ ...this.ruleset, materials, policy }));
    this.services.log.warn('replaced values were retired', { secrets: ended.map(({ id }) => id) });
    return ended.length;
  }

  /** The status page's view of the ruleset and its requests. `at` is epoch milliseconds. */
  status(at: number) {
    const { loaded, policy, materials, warnings } = this.ruleset;
    const { metrics, recent, deliveries } = this.services;
    const waiting = this.#keysAwaitingRestart().join(', ');
    const restart = waiting === '' ? [] : [`changed, but takes effect only after a restart: ${waiting}`];
    return {
      routes: routesOf(loaded.config).map((route) => routeStatus(route, policy, at)),
      secrets: materials.map((material) => secretStatus(material, at, metrics.lastMatch(material.id))),
      config: {
        file: loaded.file,
        sha256: loaded.sha256,
        warnings: [...loaded.warnings.map(({ message }) => message), ...warnings, ...restart],
      },
      lastReload: this.#lastReload,
      once: onceStatus(deliveries(), loaded.config.once),
      ...recent.view(),
    };
  }

  #adopt(next: Ruleset): void {
    const before = this.ruleset;
    this.ruleset = next;
    this.services.adopt(next, before);
    this.#logWarnings();
  }

  /** The changed keys that take effect only after a restart. */
  #keysAwaitingRestart(): readonly string[] {
    const { config } = this.ruleset.loaded;
    return RESTART_ONLY.filter(([, read]) => read(this.#atStart) !== read(config)).map(([key]) => key);
  }

  /** Logs the warnings that are new, now and when the next secret expires. */
  #logWarnings(): void {
    const now = Date.now();
    const found = new Map(warningsOf(this.ruleset, now).map((warning) => [JSON.stringify(warning), warning]));
    for (const [text, { msg, ...fields }] of found) if (!this.#logged.has(text)) this.services.log.warn(msg, fields);
    this.#logged = new Set(found.keys());
    const ends = this.ruleset.materials.map(({ notAfter }) => (notAfter ?? 0) - now).filter((wait) => wait > 0);
    clearTimeout(this.#nextCheck);
    this.#nextCheck = setTimeout(() => this.#logWarnings(), Math.min(DAY_MS, ...ends)).unref();
  }
}

/** Log lines about the config, its sources, certificates and secrets. `now` is epoch milliseconds. */
function warningsOf({ loaded, warnings, materials }: Ruleset, now: number) {
  const flaws = [
    ...loaded.warnings.map(({ key, message: problem }) => ({ key, problem })),
    ...warnings.map((problem) => ({ problem })),
    ...materials.flatMap(({ id, source, warnings }) => warnings.map((problem) => ({ secret: id, source, problem }))),
  ];
  const outside = materials
    .filter((secret) => secret.key !== null && !isReplaced(secret) && stateOf(secret, now) !== 'live')
    .map((secret) => ({ secret: secret.id, source: secret.source, problem: outsideText(secret, now) }));
  return [
    ...flaws.map((fields) => ({ msg: 'configuration warning', ...fields })),
    ...outside.map((fields) => ({ msg: 'a secret is outside its validity', ...fields })),
  ];
}

function routeStatus(route: Route, { keyring }: Policy, at: number): RouteStatus {
  const { path, action, mode, reportUntil, methods, query, once } = route;
  const verifies = action === 'verify';
  return {
    path,
    action,
    mode,
    reportUntil,
    methods,
    secretIds: verifies ? keyring.listed(route.secrets).map(({ id }) => id) : [],
    liveSecrets: verifies ? keyring.live(route.secrets, at).length : 0,
    maxBody: verifies ? route.maxBody : null,
    query,
    once,
  };
}

/** `lastMatch` is epoch seconds. */
function secretStatus(material: SecretMaterial, at: number, lastMatch: number): SecretStatus {
  const { id, source, key, problem, warnings, notBefore, notAfter } = material;
  return {
    id,
    source,
    state: key === null ? 'unusable' : stateOf(material, at),
    problem: problem ?? (warnings.join('; ') || null),
    notBefore,
    notAfter,
    lastMatch,
  };
}

/** The state of `once`; null if no route has it. A store's URL may hold a user, so only its host is shown. */
function onceStatus(deliveries: Deliveries | null, { store, onStoreFailure }: Config['once']): StatusSnapshot['once'] {
  if (deliveries === null) return null;
  const host = store === 'memory' ? store : new URL(store).host;
  return { store: host, entries: deliveries.entries(), trouble: deliveries.failure, onStoreFailure };
}
