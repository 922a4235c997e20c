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
import { buildRuleset, type Ruleset, restartNeeded, routesOf, withSecrets } from './ruleset.ts';
import { createServices, type Services, type ServicesOptions } from './services.ts';

/** Timers take 24 days at most. */
const DAY_MS = 86_400_000;

export class LiveRuleset {
  readonly services: Services;
  readonly #first: Ruleset;
  /** The last logged text about each secret's validity; null for a live secret. */
  readonly #told = new Map<string, string | null>();
  #nextEnd: NodeJS.Timeout | undefined;
  #ruleset: Ruleset;
  #lastReload: StatusSnapshot['lastReload'] = null;

  /** Throws RulesetError where the inputs can't become a ruleset. */
  constructor(inputs: Inputs, options: Omit<ServicesOptions, 'policy'>) {
    this.#first = buildRuleset(inputs, null).ruleset;
    this.#ruleset = this.#first;
    this.services = createServices(this.#first, { ...options, policy: () => this.#ruleset.policy });
    this.#tellWarnings(null);
    for (const { id, source, problem } of this.#ruleset.materials) {
      if (problem !== null) this.services.log.error('a secret cannot be used', { secret: id, source, problem });
    }
    this.#tellExpired();
  }

  /** Logs each secret outside its validity once, now and at the moment when the next one ends. */
  #tellExpired(): void {
    const now = Date.now();
    const mine = this.#ruleset.materials.filter((secret) => secret.key !== null && !isReplaced(secret));
    for (const { id, source, ...bounds } of mine) {
      const problem = outsideText(bounds, now);
      if (problem !== null && this.#told.get(id) !== problem) {
        this.services.log.warn('a secret is outside its validity', { secret: id, source, problem });
      }
      this.#told.set(id, problem);
    }
    const ends = mine.flatMap(({ notAfter }) => (notAfter === null || notAfter <= now ? [] : [notAfter - now]));
    clearTimeout(this.#nextEnd);
    if (ends.length > 0) this.#nextEnd = setTimeout(() => this.#tellExpired(), Math.min(DAY_MS, ...ends)).unref();
  }

  get ruleset(): Ruleset {
    return this.#ruleset;
  }

  /** Changed keys that need a restart. */
  get #waiting(): readonly string[] {
    return restartNeeded(this.#first.loaded.config, this.#ruleset.loaded.config);
  }

  /** An unusable part keeps its old version. The reload then counts as failed, even if other parts changed. */
  apply(inputs: Inputs): Outcome {
    const { ruleset, failures } = buildRuleset(inputs, this.#ruleset);
    this.#adopt(ruleset);
    const { log } = this.services;
    if (this.#waiting.length > 0) log.warn('these changes need a restart', { keys: this.#waiting });
    if (failures.length > 0) return this.fail(failures.join('\n'));
    this.#tell(null);
    this.#tellExpired();
    log.info('reloaded', {
      config_sha256: ruleset.loaded.sha256,
      secrets: ruleset.policy.keyring.secrets.map(({ id }) => id),
    });
    return { ok: true };
  }

  fail(error: string): Outcome {
    this.#tell(error);
    this.services.log.error('reload failed: the previous state stays in use', { problems: error.split('\n') });
    return { ok: false, error };
  }

  /** Ends every overlap; gives their number. */
  retirePrevious(): number {
    const now = Date.now();
    const { materials } = this.#ruleset;
    const ended = materials.filter((secret) => isReplaced(secret) && now < (secret.notAfter ?? 0));
    this.#adopt(withSecrets(this.#ruleset, retirePrevious(materials, now)));
    this.services.log.warn('replaced values were retired', { secrets: ended.map(({ id }) => id) });
    return ended.length;
  }

  /** The status page's view of the ruleset and its requests. `at` is epoch milliseconds. */
  status(at: number) {
    const { loaded, policy, materials, warnings } = this.#ruleset;
    const { metrics, recent, deliveries } = this.services;
    const waiting = this.#waiting.join(', ');
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
    const before = this.#ruleset;
    this.#ruleset = next;
    this.services.adopt(next, before);
    this.#tellWarnings(before);
  }

  #tell(error: string | null): void {
    this.#lastReload = { ok: error === null, at: Date.now(), error };
    this.services.metrics.reloaded(error === null ? 'success' : 'failure');
  }

  /** Logs the warnings that `before` did not have. */
  #tellWarnings(before: Ruleset | null): void {
    const told = new Set(before === null ? [] : warningsOf(before).map((fields) => JSON.stringify(fields)));
    for (const fields of warningsOf(this.#ruleset)) {
      if (!told.has(JSON.stringify(fields))) this.services.log.warn('configuration warning', fields);
    }
  }
}

/** Log fields of the warnings about the config, its sources, certificates and secrets. */
function warningsOf({ loaded, warnings, materials }: Ruleset): readonly Readonly<Record<string, string>>[] {
  return [
    ...loaded.warnings.map(({ key, message: problem }) => ({ key, problem })),
    ...warnings.map((problem) => ({ problem })),
    ...materials.flatMap(({ id, source, warnings }) => warnings.map((problem) => ({ secret: id, source, problem }))),
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

/** Null where no route has `once`. A store's URL may hold a user, so only its host is shown. */
function onceStatus(deliveries: Deliveries | null, { store, onStoreFailure }: Config['once']): StatusSnapshot['once'] {
  if (deliveries === null) return null;
  const { entries, trouble } = deliveries;
  return { store: store === 'memory' ? store : new URL(store).host, entries, trouble, onStoreFailure };
}
