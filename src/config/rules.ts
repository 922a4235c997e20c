// Rules that concern several keys, or more than the syntax of one. Pure, without a clock.
// A rule must never judge a default that replaces a bad value, so it first asks whether the value is sound.
import { whyNeverAllowed } from '../core/gate.ts';
import { isPrevious } from '../core/keyring.ts';
import { foldsAlike, pathProblem } from '../core/targets.ts';
import type { Values } from './config.ts';
import { nearest } from './nearest-word.ts';
import { atKey, atValue, type KeyPath, listOf, type ProblemAt, show } from './problems.ts';
import type { Written } from './schema-problems.ts';

type SecretEntry = Written['secrets'][number];
type RouteEntry = Written['routes'][number];
type Action = RouteEntry['value']['action'];

/** Every problem that the schema cannot see. */
export function crossErrors(written: Written): readonly ProblemAt[] {
  return [
    ...addressErrors(written),
    ...upstreamTlsErrors(written),
    ...redeliveryErrors(written),
    ...written.secrets.flatMap((secret) => secretErrors(secret, written)),
    ...written.routes.flatMap((route) => [...routeErrors(route), ...secretIdErrors(route, written)]),
    ...pathPairErrors(written.routes),
  ];
}

function addressErrors({ values: { listen, admin, upstream }, isSound }: Written): readonly ProblemAt[] {
  const found: ProblemAt[] = [];
  const listeners = { listen, admin };
  const known = (['listen', 'admin'] as const).filter((name) => isSound([name, 'port']) && isSound([name, 'host']));
  const hosts = new Set([listen.host, admin.host]);
  // All interfaces include every other host.
  const collide = hosts.size === 1 || hosts.has('::') || hosts.has('0.0.0.0');
  if (known.length === 2 && listen.port === admin.port && listen.port !== 0 && collide) {
    found.push(atKey(['admin', 'port'], `found ${admin.port}, which is also listen.port; allowed is any other port`));
  }
  const { hostname = '', port = '' } = isSound(['upstream', 'url']) ? (URL.parse(upstream.url) ?? {}) : {};
  const isLoopback = /^(?:localhost|127\.[0-9.]+|\[::1\])$/.test(hostname);
  for (const name of isLoopback ? known : []) {
    const isReached = /^(?:::1?|0\.0\.0\.0|127\.[0-9.]+|localhost)$/.test(listeners[name].host);
    if (String(listeners[name].port) !== port || !isReached) continue;
    const message = `the proxy itself listens on this address (${name}.port); allowed is the address of the app`;
    found.push(atValue(['upstream', 'url'], message));
  }
  return found;
}

function upstreamTlsErrors({ values: { upstream }, isSound }: Written): readonly ProblemAt[] {
  const { url, tls } = upstream;
  if (tls === null) return [];
  const path = ['upstream', 'tls'];
  const found: ProblemAt[] = [];
  if (isSound(['upstream', 'url']) && !url.startsWith('https://')) {
    found.push(atKey(path, 'found with a URL without TLS; allowed only with an https:// upstream.url'));
  }
  for (const [given, other] of [['certFile', 'keyFile'] as const, ['keyFile', 'certFile'] as const]) {
    if (tls[given] === null || tls[other] !== null) continue;
    found.push(atKey([...path, given], `found without ${other}; allowed are both or neither`));
  }
  return found;
}

function redeliveryErrors({ values: { redelivery }, isSound }: Written): readonly ProblemAt[] {
  const { store, name } = redelivery;
  if (!isSound(['redelivery']) || store.startsWith('/') || name !== '') return [];
  const message = "found without redelivery.name; apps that share this database would get each other's deliveries";
  return [atKey(['redelivery', 'store'], message)];
}

function secretErrors({ path, value, has }: SecretEntry, { secrets, isSound }: Written): readonly ProblemAt[] {
  const { id, notBefore, notAfter } = value;
  const found: ProblemAt[] = [];
  const refuse = (at: 'key' | 'value', key: keyof SecretEntry['value'], message: string) =>
    found.push({ path: [...path, key], at, message });
  const sources = (['file', 'env', 'directory'] as const).filter(has);
  if (sources.length > 1 || (sources.length === 0 && isSound(path))) {
    const what = sources.length === 0 ? 'no source' : sources.join(' and ');
    found.push(atValue(path, `found ${what}, allowed is one of file, env and directory`));
  }
  if (has('directory') && has('id')) {
    refuse('key', 'id', 'found with directory, where file names are the ids; allowed only with file or env');
  }
  if ((has('file') || has('env')) && !has('id')) {
    refuse('value', 'id', 'missing; file and env need an id for metrics and logs');
  }
  if (id !== null && isPrevious(id)) {
    const reserved = 'ends in ".previous", which is reserved for the old value of a rotated secret';
    refuse('value', 'id', `${reserved}; allowed is any other ending`);
  }
  if (has('overlap') && has('env')) {
    refuse('key', 'overlap', 'found with env, which cannot change; allowed only with file or directory');
  }
  if (notBefore !== null && notAfter !== null && notBefore >= notAfter) {
    refuse('value', 'notAfter', 'not later than notBefore: the secret would never be valid');
  }
  const first = secrets.findIndex((other) => other.value.id === id);
  if (id !== null && first !== path[1]) {
    refuse('value', 'id', `the same id as secrets[${first}]; allowed is any other id`);
  }
  return found;
}

/** The actions with which each option of a route is allowed. */
const ACTIONS: Readonly<Record<Exclude<keyof RouteEntry['value'], 'path' | 'action'>, readonly Action[]>> = {
  methods: ['verify', 'forward'],
  secrets: ['verify'],
  mode: ['verify'],
  reportUntil: ['verify'],
  maxBody: ['verify'],
  query: ['verify'],
  once: ['verify'],
  redeliver: ['verify'],
  allowHeaders: ['verify', 'forward'],
  upgrade: ['forward'],
  responseTimeout: ['forward'],
  idleTimeout: ['forward'],
};

function routeErrors({ path, value, has, sound }: RouteEntry): readonly ProblemAt[] {
  const { action, mode } = value;
  const found: ProblemAt[] = [];
  const problem = sound('path') ? pathProblem(value.path) : null;
  if (problem !== null) found.push(atValue([...path, 'path'], `found ${show(value.path, path)}, which ${problem}`));
  const options = Object.keys(ACTIONS) as (keyof typeof ACTIONS)[];
  for (const key of sound('action') ? options : []) {
    if (!has(key) || ACTIONS[key].includes(action)) continue;
    const message = `found on a ${action} route, allowed only on ${listOf(ACTIONS[key], 'and')} routes`;
    found.push(atKey([...path, key], message));
  }
  if (has('reportUntil') && sound('mode') && mode === 'enforce' && action === 'verify') {
    found.push(atKey([...path, 'reportUntil'], 'found with mode enforce, allowed only with mode: report'));
  }
  for (const [index, name] of value.allowHeaders.entries()) {
    const why = whyNeverAllowed(name);
    if (why === null) continue;
    const message = `found ${JSON.stringify(name)}, which is never allowed: ${why}`;
    found.push(atValue([...path, 'allowHeaders', index], message));
  }
  return found;
}

function secretIdErrors({ path, value, sound }: RouteEntry, { secrets, isSound }: Written): readonly ProblemAt[] {
  if (sound('action') && value.action !== 'verify') return [];
  const known = secrets.flatMap(({ value: { id } }) => id ?? []);
  // The ids of a directory are unknown until it is read.
  const anyId = !isSound(['secrets']) || secrets.some(({ has }) => has('directory'));
  return (value.secrets ?? []).flatMap((id, index): ProblemAt[] => {
    const found = (message: string) => [atValue([...path, 'secrets', index], message)];
    if (isPrevious(id)) {
      return found('ends in ".previous"; allowed is the id alone, which includes its previous value');
    }
    if (anyId || known.includes(id)) return [];
    const allowed = known.length === 0 ? 'an id under secrets, but there are none' : listOf(known, 'or');
    const near = nearest(id, known);
    if (near !== null) return found(`found "${id}", allowed is ${allowed}; did you mean "${near}"?`);
    // Text that resembles no id may be a secret's value that was pasted here.
    const hidden = 'not shown, as it may be a value; give the id of a secret';
    return found(`names no secret of this configuration (${hidden}); allowed is ${allowed}`);
  });
}

function pathPairErrors(routes: readonly RouteEntry[]): readonly ProblemAt[] {
  const sound = routes.filter((route) => route.sound('path') && pathProblem(route.value.path) === null);
  return sound.flatMap((route, index): ProblemAt[] => {
    const alike = sound.slice(0, index).find((other) => foldsAlike(other.value.path, route.value.path));
    if (alike === undefined) return [];
    const place = `routes[${alike.path[1]}].path`;
    const [here, there] = [JSON.stringify(route.value.path), JSON.stringify(alike.value.path)];
    const message =
      here === there
        ? `found ${here}, the same path as ${place}`
        : `found ${here}, which servers can also read as ${there} (${place})`;
    return [atValue([...route.path, 'path'], `${message}; allowed is one route for the two`)];
  });
}

const LARGE_BODY = 16 * 1024 * 1024;
const QUERY_ROUTING =
  'with an upstream that routes by query (?rest_route=, ?url=) or rewrites paths, requests can bypass every route';

/** Every warning about a configuration that is valid but rarely intended. None stops the proxy. */
export function crossWarnings(values: Values): readonly ProblemAt[] {
  const { listen, secrets, routes, unmatched, limits, once } = values;
  const found: ProblemAt[] = [];
  if (secrets.length === 0 && (unmatched === 'verify' || routes.some(({ action }) => action === 'verify'))) {
    const message =
      'there are no secrets, so every request on a verify route is answered with 503: set WEBHOOK_ENDPOINT_SECRET_KEY, or add secrets here';
    found.push(atKey(['secrets'], message));
  }
  if (unmatched === 'forward') {
    const message = `forward sends every request that no route matches to the upstream unverified, and ${QUERY_ROUTING}; verify is safer`;
    found.push(atValue(['unmatched'], message));
  }
  found.push(...bodyWarnings(['limits', 'maxBody'], limits.maxBody, limits));
  for (const [index, route] of routes.entries()) found.push(...routeWarnings(['routes', index], route, limits));
  if (once.store === 'memory' && once.passwordFile !== null) {
    found.push(atKey(['once', 'passwordFile'], 'not read: store is memory'));
  }
  if (once.store !== 'memory') {
    if (routes.every((route) => route.once === null)) {
      found.push(atKey(['once', 'store'], 'not used: no route has once'));
    } else if (once.name === '') {
      const message =
        'found without once.name: an app that shares this database loses each event that this one has had';
      found.push(atKey(['once', 'store'], message));
    }
  }
  found.push(...redeliveryWarnings(values));
  for (const [index, network] of listen.trustedProxies.entries()) {
    if (!network.endsWith('/0')) continue;
    const message = 'every address: any client can choose the logged client address by sending X-Forwarded-For';
    found.push(atValue(['listen', 'trustedProxies', index], message));
  }
  return found;
}

function redeliveryWarnings({ routes, secrets, redelivery }: Values): readonly ProblemAt[] {
  const found: ProblemAt[] = [];
  const { store, passwordFile, maxBytes } = redelivery;
  const asking = routes.filter((route) => route.redeliver !== null);
  if (asking.length === 0) {
    if (!store.startsWith('/')) found.push(atKey(['redelivery', 'store'], 'not used: no route has redeliver'));
    return found;
  }
  if (store.startsWith('/') && passwordFile !== null) {
    found.push(atKey(['redelivery', 'passwordFile'], 'not read: store is a directory'));
  }
  for (const [index, secret] of secrets.entries()) {
    if (secret.overlap === null) continue;
    const message =
      'found beside a route with redeliver: the old value lives in memory alone, so after a restart what it signed is not sent again; rotate with two secrets';
    found.push(atKey(['secrets', index, 'overlap'], message));
  }
  for (const [index, route] of routes.entries()) {
    if (route.redeliver === null || (route.maxBody ?? 0) <= maxBytes) continue;
    found.push(atValue(['routes', index, 'maxBody'], 'larger than redelivery.maxBytes: such a body is never stored'));
  }
  return found;
}

function routeWarnings(path: KeyPath, route: RouteEntry['value'], limits: Values['limits']): readonly ProblemAt[] {
  const found: ProblemAt[] = [];
  if (route.path === '/*' && route.action === 'forward') {
    const message = `this route forwards every request that no other route matches, unverified, and ${QUERY_ROUTING}`;
    found.push(atValue([...path, 'path'], message));
  }
  if (route.mode === 'report' && route.reportUntil === null) {
    const message = 'report forwards requests that enforce would refuse, with no end date; set reportUntil';
    found.push(atValue([...path, 'mode'], message));
  }
  return [...found, ...bodyWarnings([...path, 'maxBody'], route.maxBody ?? 0, limits)];
}

function bodyWarnings(path: KeyPath, maxBody: number, { bufferedBytes }: Values['limits']): readonly ProblemAt[] {
  const found: ProblemAt[] = [];
  if (maxBody > LARGE_BODY) {
    found.push(atValue(path, 'over 16MiB: each body is buffered in memory until it is verified'));
  }
  if (bufferedBytes !== 'auto' && maxBody > bufferedBytes) {
    found.push(atValue(path, 'larger than limits.bufferedBytes: the largest bodies are always answered with 503'));
  }
  return found;
}
