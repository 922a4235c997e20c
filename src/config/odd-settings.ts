// Warnings about a configuration that is valid but rarely intended. None stops the proxy.
import { deliversOnce, redelivers } from '../core/routes.ts';
import type { Config, Values } from './config.ts';
import { atKey, atValue, type KeyPath } from './problems.ts';
import type { Env } from './variables.ts';

const QUERY_ROUTING =
  'with an upstream that routes by query (?rest_route=, ?url=) or rewrites paths, requests can bypass every route';

export function* warningsOf(values: Values, config: Config, env: Env) {
  const { listen, admin, secrets, routes, unmatched, once } = values;
  if (secrets.length === 0 && (unmatched === 'verify' || routes.some(({ action }) => action === 'verify'))) {
    const message =
      'there are no secrets, so every request on a verify route is answered with 503: set WEBHOOK_ENDPOINT_SECRET_KEY, or add secrets here';
    yield atKey(['secrets'], message);
  }
  if (unmatched === 'forward') {
    const message = `forward sends every request that no route matches to the upstream unverified, and ${QUERY_ROUTING}; verify is safer`;
    yield atValue(['unmatched'], message);
  }
  for (const [index, route] of routes.entries()) yield* routeWarnings(['routes', index], route);
  if (redelivers(values) && admin.readyNeedsUpstream) {
    const message =
      'found beside a route with redeliver: while the app is down the proxy is not ready, so load balancers send it nothing to store';
    yield atKey(['admin', 'readyNeedsUpstream'], message);
  }
  for (const [index, { overlap }] of secrets.entries()) {
    if (!redelivers(values) || overlap === null) continue;
    const message =
      'found beside a route with redeliver: the old value lives in memory alone, so after a restart what it signed is not sent again; rotate with two secrets';
    yield atKey(['secrets', index, 'overlap'], message);
  }
  if (once.store !== 'memory' && once.name === '' && deliversOnce(values)) {
    const message = 'found without once.name: an app that shares this database loses each event that this one has had';
    yield atKey(['once', 'store'], message);
  }
  for (const [index, network] of listen.trustedProxies.entries()) {
    if (!network.endsWith('/0')) continue;
    const message = 'every address: any client can choose the logged client address by sending X-Forwarded-For';
    yield atValue(['listen', 'trustedProxies', index], message);
  }
  yield* unsetVariables(config, env);
}

function* routeWarnings(path: KeyPath, route: Values['routes'][number]) {
  if (route.path === '/*' && route.action === 'forward') {
    const message = `this route forwards every request that no other route matches, unverified, and ${QUERY_ROUTING}`;
    yield atValue([...path, 'path'], message);
  }
  if (route.redeliver !== null && route.methods?.every((method) => method === 'GET' || method === 'HEAD')) {
    const message = 'found with GET alone, of which nothing is stored; add POST to methods, or remove redeliver';
    yield atKey([...path, 'redeliver'], message);
  }
  if (route.mode === 'report' && route.reportUntil === null) {
    const message = 'report forwards requests that enforce would refuse, with no end date; set reportUntil';
    yield atValue([...path, 'mode'], message);
  }
  if (route.mode === 'report' && route.reportUntil !== null && route.reportUntil <= Date.now()) {
    yield atKey([...path, 'reportUntil'], 'is past, so the route enforces; remove it and mode');
  }
}

/** A warning for each `env:` whose variable is not set. It never shows the name: a value may have been pasted there. */
function* unsetVariables({ secrets }: Config, env: Env) {
  for (const [index, source] of secrets.entries()) {
    if (source.kind !== 'env' || source.env.valueIn(env) !== undefined) continue;
    const message = `no variable of this name is set, so secret ${source.id} cannot be used; allowed is a variable's name, never a value`;
    yield atValue(['secrets', index, 'env'], message);
  }
}
