// The rules on routes that the schema cannot see: which keys may stand on which route, which ids and paths.
import { listOf, nearest } from '../base/nearest-word.ts';
import { whyNeverAllowed } from '../core/gate-rules.ts';
import { isPrevious } from '../core/keyring.ts';
import { foldedPath, pathProblem } from '../core/path-patterns.ts';
import { atKey, atValue, show } from './problems.ts';
import type { Written } from './schema-problems.ts';

type RouteEntry = Written['routes'][number];
type Action = RouteEntry['value']['action'];

export function* routesErrors(written: Written) {
  for (const route of written.routes) {
    yield* routeErrors(route);
    yield* secretIdErrors(route, written);
  }
  yield* pathPairErrors(written.routes);
}

/** The actions that allow each of these options of a route. Every other option needs verify. */
const ACTIONS: Partial<Record<keyof RouteEntry['value'], readonly Action[]>> = {
  methods: ['verify', 'forward'],
  allowHeaders: ['verify', 'forward'],
  upgrade: ['forward'],
  responseTimeout: ['forward'],
  idleTimeout: ['forward'],
};

function* routeErrors({ path, value, has, sound }: RouteEntry) {
  const { path: own, action, ...options } = value;
  const problem = sound('path') ? pathProblem(own) : null;
  if (problem !== null) yield atValue([...path, 'path'], `found ${show(own, path)}, which ${problem}`);
  for (const key of sound('action') ? (Object.keys(options) as (keyof typeof options)[]) : []) {
    const actions = ACTIONS[key] ?? ['verify'];
    if (!has(key) || actions.includes(action)) continue;
    const message = `found on a ${action} route, allowed only on ${listOf(actions, 'and')} routes`;
    yield atKey([...path, key], message);
  }
  if (has('reportUntil') && sound('mode') && options.mode === 'enforce' && action === 'verify') {
    yield atKey([...path, 'reportUntil'], 'found with mode enforce, allowed only with mode: report');
  }
  for (const [index, name] of options.allowHeaders.entries()) {
    const why = whyNeverAllowed(name);
    if (why === null) continue;
    const message = `found ${JSON.stringify(name)}, which is never allowed: ${why}`;
    yield atValue([...path, 'allowHeaders', index], message);
  }
}

function* secretIdErrors({ path, value, sound }: RouteEntry, { secrets, isSound }: Written) {
  if (sound('action') && value.action !== 'verify') return;
  const ids = secrets.flatMap(({ value: { id } }) => id ?? []);
  // The ids of a directory are unknown until it is read.
  const anyId = !isSound(['secrets']) || secrets.some(({ has }) => has('directory'));
  const allowed = ids.length === 0 ? 'an id under secrets, but there are none' : listOf(ids, 'or');
  // Text that resembles no id may be a secret's value that was pasted here.
  const hidden = 'not shown, as it may be a value; give the id of a secret';
  for (const [index, id] of (value.secrets ?? []).entries()) {
    const place = [...path, 'secrets', index];
    if (isPrevious(id)) {
      yield atValue(place, 'ends in ".previous"; allowed is the id alone, which includes its previous value');
    } else if (!anyId && !ids.includes(id)) {
      const near = nearest(id, ids);
      const what = near === null ? `names no secret of this configuration (${hidden}); ` : `found "${id}", `;
      yield atValue(place, `${what}allowed is ${allowed}${near === null ? '' : `; did you mean "${near}"?`}`);
    }
  }
}

function* pathPairErrors(routes: readonly RouteEntry[]) {
  const first = new Map<string, RouteEntry>();
  const sound = routes.filter((route) => route.sound('path') && pathProblem(route.value.path) === null);
  for (const route of sound) {
    const folded = foldedPath(route.value.path);
    const alike = first.get(folded) ?? route;
    first.set(folded, alike);
    if (alike === route) continue;
    const place = `routes[${alike.path[1]}].path`;
    const [here, there] = [JSON.stringify(route.value.path), JSON.stringify(alike.value.path)];
    const same = here === there ? `the same path as ${place}` : `which servers can also read as ${there} (${place})`;
    yield atValue([...route.path, 'path'], `found ${here}, ${same}; allowed is one route for the two`);
  }
}
