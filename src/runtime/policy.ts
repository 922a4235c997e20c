// Builds a policy whole from configuration and secrets.
import type { Config } from '../config/config.ts';
import { Keyring, type Policy, type Secret } from '../core/policy.ts';
import { type Route, RouteTable, UNMATCHED } from '../core/routes.ts';
import { inRanges } from '../downstream/client-address.ts';

/** What `unmatched` means, as a route: verify takes POST alone. */
export function unmatchedRoute(config: Config): Route {
  return {
    path: UNMATCHED,
    action: config.unmatched,
    methods: config.unmatched === 'verify' ? ['POST'] : null,
    secrets: null,
    mode: 'enforce',
    reportUntil: null,
    maxBody: config.limits.maxBody,
    query: 'forward',
    once: null,
    upgrade: [],
    allowHeaders: [],
    responseTimeout: null,
    idleTimeout: null,
  };
}

/** Every route of a config, `unmatched` last. */
export function routesOf(config: Config): readonly Route[] {
  return [...config.routes, unmatchedRoute(config)];
}

/** True where some route remembers what it delivered. */
export function deliversOnce({ routes }: Config): boolean {
  return routes.some(({ once }) => once !== null);
}

export function buildPolicy(config: Config, secrets: readonly Secret[]): Policy {
  const { upstream, limits } = config;
  return Object.freeze({
    settings: { ...upstream, bodyTimeout: limits.bodyTimeout, connections: limits.connections },
    routes: new RouteTable(config.routes, unmatchedRoute(config)),
    keyring: new Keyring(secrets),
    trusts: inRanges(config.listen.trustedProxies),
  });
}
