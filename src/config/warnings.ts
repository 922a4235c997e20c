// Warnings about a configuration that is valid but rarely intended. None stops the proxy.
import type { Values } from './config.ts';
import { atKey, atValue, type Finding, type KeyPath } from './problems.ts';

const MUCH_BODY = 16 * 1024 * 1024;
const BEYOND =
  'with an upstream that routes by query (?rest_route=, ?url=) or rewrites paths, requests can bypass every route';

export function crossWarnings(values: Values): readonly Finding[] {
  const { routes, limits } = values;
  return [
    ...secretWarnings(values),
    ...forwardWarnings(values),
    ...routes.flatMap(({ mode, reportUntil }, index): Finding[] => {
      if (mode !== 'report' || reportUntil !== null) return [];
      const message = 'report forwards requests that enforce would refuse, with no end date; set reportUntil';
      return [atValue(['routes', index, 'mode'], message)];
    }),
    ...bodyWarnings(['limits', 'maxBody'], limits.maxBody, limits),
    ...routes.flatMap(({ maxBody }, index) => bodyWarnings(['routes', index, 'maxBody'], maxBody, limits)),
    ...onceWarnings(values),
    ...trustWarnings(values),
  ];
}

function secretWarnings({ secrets, routes, unmatched }: Values): readonly Finding[] {
  const verifies = unmatched === 'verify' || routes.some(({ action }) => action === 'verify');
  if (secrets.length > 0 || !verifies) return [];
  return [atKey(['secrets'], 'there are no secrets: every request on a verify route is answered with 503')];
}

function forwardWarnings({ routes, unmatched }: Values): readonly Finding[] {
  const found: Finding[] = [];
  if (unmatched === 'forward') {
    const message = `forward sends every request that no route matches to the upstream unverified, and ${BEYOND}; verify is safer`;
    found.push(atValue(['unmatched'], message));
  }
  for (const [index, { path, action }] of routes.entries()) {
    if (path !== '/*' || action !== 'forward') continue;
    const message = `this route forwards every request that no other route matches, unverified, and ${BEYOND}`;
    found.push(atValue(['routes', index, 'path'], message));
  }
  return found;
}

function bodyWarnings(path: KeyPath, maxBody: number | null, { bufferedBytes }: Values['limits']): readonly Finding[] {
  if (maxBody === null) return [];
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

function onceWarnings({ once: { store, passwordFile }, routes }: Values): readonly Finding[] {
  if (store === 'memory') {
    return passwordFile === null ? [] : [atKey(['once', 'passwordFile'], 'not read: store is memory')];
  }
  return routes.some(({ once }) => once !== null) ? [] : [atKey(['once', 'store'], 'not used: no route has once')];
}

function trustWarnings({ listen }: Values): readonly Finding[] {
  return listen.trustedProxies.flatMap((network, index): Finding[] => {
    if (!network.endsWith('/0')) return [];
    const message = 'every address: any client can choose the logged client address by sending X-Forwarded-For';
    return [atValue(['listen', 'trustedProxies', index], message)];
  });
}
