// A ruleset: one policy with all that it was made of, built whole from inputs or not at all; a reload replaces it as one.
import { didYouMean } from '../base/nearest-word.ts';
import type { Config } from '../config/config.ts';
import { ConfigError, type LoadedConfig } from '../config/load.ts';
import { RETRY_CONNECT_MS } from '../config/schema.ts';
import type { Policy } from '../core/admission.ts';
import { Keyring, type Secret } from '../core/keyring.ts';
import { type Route, RouteTable, reports } from '../core/routes.ts';
import { inRanges } from '../downstream/client-address.ts';
import { failuresOf, rotate, usable } from '../secrets/rotation.ts';
import type { SecretMaterial } from '../secrets/sources.ts';
import type { Inputs } from './inputs.ts';
import { type BuiltTls, buildTls, tlsProblem } from './tls-files.ts';

export interface Ruleset extends BuiltTls {
  readonly inputs: Inputs;
  readonly loaded: LoadedConfig;
  /** When this configuration came into use, in epoch milliseconds. */
  readonly since: number;
  readonly materials: readonly SecretMaterial[];
  readonly policy: Policy;
  /** Warnings other than those of the config and of the secrets. */
  readonly warnings: readonly string[];
  /** Why a part of the inputs is not in use, and its old version still is. */
  readonly failures: readonly string[];
}

/**
 * Builds a ruleset; `running` is null at start. A broken config or TLS file is a failure and leaves the old part in
 * use, while secrets keep rotating. Throws ConfigError only at start, when there is no old part.
 */
export function buildRuleset(inputs: Inputs, running: Ruleset | null): Ruleset {
  const { loaded, broken, secrets, tlsFiles, fixed } = inputs;
  const now = Date.now();
  const materials = rotate(running?.materials ?? null, secrets.flat(), now);
  const tls = buildTls(loaded.config, tlsFiles, running);
  if (running === null && tls.failures.length > 0)
    throw new ConfigError(tls.failures.map(tlsProblem).map(loaded.locate));
  return Object.freeze({
    ...tls,
    inputs,
    loaded,
    since: running?.loaded.sha256 === loaded.sha256 ? running.since : now,
    materials,
    policy: buildPolicy(loaded.config, usable(materials)),
    warnings: [...fixed, ...tls.warnings],
    failures: [...broken, ...failuresOf(materials), ...tls.failures],
  });
}

export function buildPolicy(
  { upstream, limits, routes, unmatched, listen }: Config,
  secrets: readonly Secret[],
): Policy {
  const { retryConnectFor: set, responseTimeout, idleTimeout, forwardedHeaders } = upstream;
  const retryConnectFor = set === null ? RETRY_CONNECT_MS : { plain: set, deferrable: set };
  const { bodyTimeout, connections, maxHeader } = limits;
  return Object.freeze({
    settings: { bodyTimeout, maxHeader, connections, retryConnectFor, responseTimeout, idleTimeout, forwardedHeaders },
    routes: new RouteTable(routes, unmatched),
    keyring: new Keyring(secrets),
    trusts: inRanges(listen.trustedProxies),
  });
}

/** Why a changed configuration is not put into use: what it cannot read, or serve, that is no problem of `running`. */
export function newProblems(changed: Ruleset, running: Ruleset): readonly string[] {
  const before = problemsOf(running);
  return problemsOf(changed).filter((problem) => !before.includes(problem));
}

/** The problems but those that are `broken`, which are of a configuration that is not in use. */
function problemsOf({ failures, materials, policy, inputs }: Ruleset): readonly string[] {
  const ids = materials.map(({ id }) => id);
  const dead = routesWithoutSecret(policy, Date.now()).flatMap((route) => [
    noLiveSecret(route.path),
    ...(route.secrets ?? []).flatMap((id) => (ids.includes(id) ? [] : unknownId(route.path, id, ids))),
  ]);
  return [...failures.slice(inputs.broken.length), ...dead];
}

export const noLiveSecret = (path: string) =>
  `route ${path}: no live secret, so its requests would be answered with 503`;

export const unknownId = (path: string, id: string, ids: readonly string[]) =>
  `route ${path}: no secret has the id ${id} now${didYouMean(id, ids)}`;

/** Enforcing routes without a live secret: they answer 503, and a starting proxy is not ready while there is one. */
export function routesWithoutSecret({ routes, keyring }: Policy, at: number): readonly Route[] {
  const verified = routes.all.filter((route) => route.action === 'verify' && !reports(route, at));
  return verified.filter(({ secrets }) => keyring.live(secrets, at).length === 0);
}

// --- the changes of the configuration that only a restart applies

/**
 * Keys of what a running process cannot change: its sockets and stores, and what depends on them. The chart restarts
 * its pods for exactly these keys (helm/templates/_config.tpl; a test compares the lists).
 */
export const RESTART_ONLY: readonly (readonly [key: string, read: (config: Config) => unknown])[] = [
  ['listen.host', ({ listen }) => listen.host],
  ['listen.port', ({ listen }) => listen.port],
  ['listen.tls', ({ listen }) => listen.tls === null],
  ['admin.host', ({ admin }) => admin.host],
  ['admin.port', ({ admin }) => admin.port],
  ['upstream.url', ({ upstream }) => upstream.url],
  ['upstream.connections', ({ upstream }) => upstream.connections],
  ['upstream.connectTimeout', ({ upstream }) => upstream.connectTimeout],
  ['upstream.keepAlive', ({ upstream }) => upstream.keepAlive],
  ['once', ({ once }) => JSON.stringify(once)],
  ['redelivery', ({ redelivery }) => JSON.stringify(redelivery)],
];
