// Warnings about a configuration that is valid but rarely intended. None stops the proxy.
import type { Values } from './config.ts';
import { atKey, atValue, type Finding, type KeyPath } from './problems.ts';

const MUCH_BODY = 16 * 1024 * 1024;
const BEYOND =
  'with an upstream that routes by query (?rest_route=, ?url=) or rewrites paths, requests can bypass every route';

export function crossWarnings({ listen, secrets, routes, unmatched, limits, once }: Values): readonly Finding[] {
  const found: Finding[] = [];
  if (secrets.length === 0 && (unmatched === 'verify' || routes.some(({ action }) => action === 'verify'))) {
    found.push(atKey(['secrets'], 'there are no secrets: every request on a verify route is answered with 503'));
  }
  if (unmatched === 'forward') {
    const message = `forward sends every request that no route matches to the upstream unverified, and ${BEYOND}; verify is safer`;
    found.push(atValue(['unmatched'], message));
  }
  found.push(...bodyWarnings(['limits', 'maxBody'], limits.maxBody, limits));
  for (const [index, route] of routes.entries()) found.push(...routeWarnings(['routes', index], route, limits));
  if (once.store === 'memory' && once.passwordFile !== null) {
    found.push(atKey(['once', 'passwordFile'], 'not read: store is memory'));
  }
  if (once.store !== 'memory' && routes.every((route) => route.once === null)) {
    found.push(atKey(['once', 'store'], 'not used: no route has once'));
  }
  for (const [index, network] of listen.trustedProxies.entries()) {
    if (!network.endsWith('/0')) continue;
    const message = 'every address: any client can choose the logged client address by sending X-Forwarded-For';
    found.push(atValue(['listen', 'trustedProxies', index], message));
  }
  return found;
}

type RouteEntry = Values['routes'][number];

function routeWarnings(path: KeyPath, route: RouteEntry, limits: Values['limits']): readonly Finding[] {
  const found: Finding[] = [];
  if (route.path === '/*' && route.action === 'forward') {
    const message = `this route forwards every request that no other route matches, unverified, and ${BEYOND}`;
    found.push(atValue([...path, 'path'], message));
  }
  if (route.mode === 'report' && route.reportUntil === null) {
    const message = 'report forwards requests that enforce would refuse, with no end date; set reportUntil';
    found.push(atValue([...path, 'mode'], message));
  }
  return [...found, ...bodyWarnings([...path, 'maxBody'], route.maxBody ?? 0, limits)];
}

function bodyWarnings(path: KeyPath, maxBody: number, { bufferedBytes }: Values['limits']): readonly Finding[] {
  const found: Finding[] = [];
  if (maxBody > MUCH_BODY) {
    found.push(atValue(path, 'over 16MiB: each body is held in memory until it is verified'));
  }
  if (bufferedBytes !== 'auto' && maxBody > bufferedBytes) {
    const message = 'larger than limits.bufferedBytes: the largest bodies are always answered with 503';
    found.push(atValue(path, message));
  }
  return found;
}
