// What the user wrote to what the program runs on: defaults that depend on other keys, names in one case, all frozen.
// It must never be called before every rule has passed.
import type { Route } from '../core/routes.ts';
import type { Config, ListenTls, SecretSource, UpstreamTls } from './config.ts';
import type { RoutePart, SecretPart, Written } from './written.ts';

export function resolveConfig(written: Written): Config {
  const { listen, admin, upstream, limits, shutdown, once, log } = written;
  return deepFreeze({
    listen: { ...listen.value, tls: resolveListenTls(listen.value.tls) },
    admin: admin.value,
    upstream: { ...upstream.value, tls: resolveUpstreamTls(upstream.value.tls) },
    secrets: written.secrets.map(({ value }) => resolveSecret(value)),
    routes: written.routes.map(({ value }) => resolveRoute(value, limits.value.maxBody)),
    unmatched: written.unmatched,
    limits: limits.value,
    shutdown: shutdown.value,
    once: { ...once.value, passwordFile: once.value.passwordFile ?? null },
    log: log.value,
  });
}

export function resolveListenTls(tls: Written['listen']['value']['tls']): ListenTls | null {
  return tls === undefined ? null : { ...tls, clientCaFile: tls.clientCaFile ?? null };
}

export function resolveUpstreamTls(tls: Written['upstream']['value']['tls']): UpstreamTls | null {
  if (tls === undefined) return null;
  const { caFile = null, certFile = null, keyFile = null, serverName = null } = tls;
  return { caFile, certFile, keyFile, serverName };
}

export function resolveSecret(secret: SecretPart['value']): SecretSource {
  const { id = '', file, env, directory, allowShort, overlap = null, notBefore = null, notAfter = null } = secret;
  const validity = { overlap, notBefore, notAfter, allowShort };
  if (directory !== undefined) return { kind: 'directory', directory, ...validity };
  if (file !== undefined) return { kind: 'file', id, file, ...validity };
  if (env !== undefined) return { kind: 'env', id, env, ...validity };
  throw new Error('a secret without a source has passed the rules');
}

function resolveRoute(route: RoutePart['value'], maxBody: number): Route {
  const methods = route.methods ?? (route.action === 'verify' ? ['POST'] : null);
  return {
    path: route.path,
    action: route.action,
    methods:
      methods === null ? null : [...new Set(methods.flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name])))],
    secrets: route.secrets === undefined ? null : [...new Set(route.secrets)],
    mode: route.mode,
    reportUntil: route.reportUntil ?? null,
    maxBody: route.maxBody ?? maxBody,
    query: route.query,
    once: route.once ?? null,
    upgrade: [...new Set(route.upgrade)],
    allowHeaders: [...new Set(route.allowHeaders.map((name) => name.toLowerCase()))],
    responseTimeout: route.responseTimeout ?? null,
    idleTimeout: route.idleTimeout ?? null,
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
