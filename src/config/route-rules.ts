// The rules of a route and among routes: which keys go with which action, ids that exist, paths that are told apart.
// A rule must never judge by a default that stands in for a bad value: it asks `sound` first.
import { whyNeverAllowed } from '../core/gate.ts';
import { foldsAlike, pathProblem } from '../core/targets.ts';
import { type Finding, show } from './problems.ts';
import { listOf, nearest } from './suggest.ts';
import type { RoutePart, Written } from './written.ts';

type Action = 'verify' | 'forward' | 'reject';
type RouteKey = keyof RoutePart['value'];

/** The actions that each key goes with; path and action go with all. */
const KEY_ACTIONS: readonly (readonly [RouteKey, readonly Action[]])[] = [
  ['methods', ['verify', 'forward']],
  ['secrets', ['verify']],
  ['mode', ['verify']],
  ['reportUntil', ['verify']],
  ['maxBody', ['verify']],
  ['query', ['verify']],
  ['once', ['verify']],
  ['upgrade', ['forward']],
  ['allowHeaders', ['verify', 'forward']],
  ['responseTimeout', ['forward']],
  ['idleTimeout', ['forward']],
];

export function routeErrors(written: Written): readonly Finding[] {
  return [
    ...written.routes.flatMap((route) => [
      ...pathErrors(route),
      ...actionErrors(route),
      ...secretIdErrors(route, written),
      ...headerErrors(route),
    ]),
    ...pathPairErrors(written.routes),
  ];
}

function pathErrors({ path, value, sound }: RoutePart): readonly Finding[] {
  const problem = sound('path') ? pathProblem(value.path) : null;
  if (problem === null) return [];
  const key = [...path, 'path'];
  return [{ path: key, at: 'value', message: `found ${show(value.path, key)}, which ${problem}` }];
}

function actionErrors({ path, value, has, sound }: RoutePart): readonly Finding[] {
  const { action, mode } = value;
  const misplaced = KEY_ACTIONS.filter(([key, actions]) => sound('action') && has(key) && !actions.includes(action));
  const found = misplaced.map(([key, actions]): Finding => {
    const message = `found on a ${action} route, allowed only on ${listOf(actions, 'and')} routes`;
    return { path: [...path, key], at: 'key', message };
  });
  const enforced = sound('mode') && mode === 'enforce';
  if (has('reportUntil') && enforced && action === 'verify') {
    const message = 'found with mode enforce, allowed only with mode: report';
    found.push({ path: [...path, 'reportUntil'], at: 'key', message });
  }
  return found;
}

function secretIdErrors({ path, value, sound }: RoutePart, { secrets, secretsSound }: Written): readonly Finding[] {
  if (sound('action') && value.action !== 'verify') return [];
  const known = secrets.flatMap(({ value: { id } }) => (id === undefined ? [] : [id]));
  // The ids of a directory are known only when it is read.
  const anyId = !secretsSound || secrets.some(({ has }) => has('directory'));
  return (value.secrets ?? []).flatMap((id, index): Finding[] => {
    const at = { path: [...path, 'secrets', index], at: 'value' } as const;
    if (id.endsWith('.previous')) {
      return [{ ...at, message: 'ends in ".previous"; allowed is the id alone, which means its previous value too' }];
    }
    if (anyId || known.includes(id)) return [];
    const allowed = known.length === 0 ? 'an id under secrets, where there is none' : listOf(known, 'or');
    const near = nearest(id, known);
    if (near !== null) return [{ ...at, message: `found "${id}", allowed is ${allowed}; did you mean "${near}"?` }];
    // Text that is near no id may be a value that was pasted here.
    const message = `names no secret of this configuration (not shown, it may be a value; secrets are named by their id); allowed is ${allowed}`;
    return [{ ...at, message }];
  });
}

function headerErrors({ path, value }: RoutePart): readonly Finding[] {
  return value.allowHeaders.flatMap((name, index): Finding[] => {
    const why = whyNeverAllowed(name);
    if (why === null) return [];
    const message = `found ${JSON.stringify(name)}, which is never allowed: ${why}`;
    return [{ path: [...path, 'allowHeaders', index], at: 'value', message }];
  });
}

function pathPairErrors(routes: readonly RoutePart[]): readonly Finding[] {
  const sound = routes.filter((route) => route.sound('path') && pathProblem(route.value.path) === null);
  return sound.flatMap((route, index): Finding[] => {
    const twin = sound.slice(0, index).find((other) => foldsAlike(other.value.path, route.value.path));
    if (twin === undefined) return [];
    const place = `routes[${twin.path[1]}].path`;
    const [here, there] = [JSON.stringify(route.value.path), JSON.stringify(twin.value.path)];
    const message =
      here === there
        ? `found ${here} again, as in ${place}`
        : `found ${here}, which servers read as ${there} (${place}) too`;
    return [{ path: [...route.path, 'path'], at: 'value', message: `${message}; allowed is one route for both` }];
  });
}
