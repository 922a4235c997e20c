// The rule for readings as a property (docs/security.md). Premise: servers decode, fold, cut and drop path segments; they do
// not invent them. Property: a target gets the strictest treatment that any reading of it could get. The servers are those
// of lax-server.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refusedByGate } from '../../src/core/gate-rules.ts';
import { foldedPath } from '../../src/core/path-patterns.ts';
import { Head } from '../../src/core/request-head.ts';
import { type Route, RouteTable, UNMATCHED } from '../../src/core/routes.ts';
import { NOW, verify } from '../unit/core/fixtures.ts';
import { pathNear } from './hostile-paths.ts';
import { canonical, decodeOnce, OPERATIONS, readings, SCRIPT } from './lax-server.ts';
import { assertSome } from './time-box.ts';

const READINGS = 120;
// The folder's own name may look as if it had a suffix.
const WITHIN_FOLDERS = OPERATIONS.filter(({ name }) => name !== 'drop every suffix');

// Few words that are similar, so routes overlap with each other and with the targets.
const NAMES = ['notify', 'hooks', 'api', 'ok', 'x', 'a', 'index.php', 'v1.0', 'caf%C3%A9', 'Kiss'];

const routePath = fc
  .tuple(fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }), fc.constantFrom('', '', '/*'))
  .map(([segments, end]) => segments.map((name) => `/${name}`).join('') + end || '/');

const route = fc
  .record<Partial<Route> & Pick<Route, 'path' | 'action'>>({
    path: routePath,
    action: fc.constantFrom('verify', 'verify', 'forward', 'forward', 'reject'),
    methods: fc.constantFrom(null, ['POST'], ['PUT', 'POST']),
    secrets: fc.constantFrom(null, ['one'], ['one', 'two']),
    mode: fc.constantFrom('enforce', 'enforce', 'report'),
    reportUntil: fc.constantFrom(null, NOW - 1, NOW + 1),
    maxBody: fc.constantFrom(1024, 4096),
    query: fc.constantFrom('forward', 'refuse'),
    allowHeaders: fc.constantFrom([], ['x-forwarded-prefix']),
  })
  .map(({ path, ...made }) =>
    verify(path, made.action === 'verify' ? made : { ...made, mode: 'enforce', secrets: null, query: 'forward' }),
  );

const unmatched = fc
  .tuple(route, fc.constantFrom<Route['action'][]>('verify', 'forward', 'reject'))
  .map(
    ([made, action]): Route => ({ ...made, path: UNMATCHED, action, mode: 'enforce', secrets: null, allowHeaders: [] }),
  );

/** A policy, and a target near one of its routes or near none. */
const attempt = fc
  .tuple(fc.uniqueArray(route, { minLength: 1, maxLength: 5, selector: ({ path }) => foldedPath(path) }), unmatched)
  .chain(([routes, unmatched]) => {
    const goals = [...routes.map(({ path }) => path), '/no/where'];
    const path = fc.constantFrom(...goals).chain((goal) =>
      pathNear(
        goal.split('/').filter((name) => name !== '' && name !== '*'),
        NAMES,
      ),
    );
    return fc.record({ routes: fc.constant(routes), unmatched: fc.constant(unmatched), path });
  });

/** A folder that is forwarded, and a target near a name within it: of `attempt` one in 300 would be forwarded by one. */
const withinFolder = fc
  .tuple(route, unmatched, fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }))
  .chain(([made, unmatched, names]) => {
    const path = `${names.map((name) => `/${name}`).join('')}/*`;
    const folder: Route = { ...made, path, action: 'forward', mode: 'enforce', secrets: null, query: 'forward' };
    return fc.record({
      routes: fc.constant([folder]),
      unmatched: fc.constant(unmatched),
      path: pathNear([...names, 'ok'], NAMES),
    });
  });

function passesTheGate(path: string): boolean {
  return refusedByGate(new Head({ method: 'POST', target: path, version: '1.1' }, ['Host', 'a'])) === null;
}

/**
 * The plain rule, restated: exact, or below the wildcard; verify and reject match the stem itself too. This is how a
 * server that decodes or ignores case knows its own handlers.
 */
function takes({ path, action }: Route, reading: string): boolean {
  return [path, decodeOnce(path), path.toLowerCase(), decodeOnce(path).toLowerCase()].some((path) => {
    if (!path.endsWith('/*')) return reading === path;
    const stem = path.slice(0, -2);
    if (action === 'forward') return reading.startsWith(`${stem}/`) && reading.length > stem.length + 1;
    return `${reading}/`.startsWith(`${stem}/`);
  });
}

function owner(routes: readonly Route[], reading: string): Route | undefined {
  const length = ({ path }: Route) => path.replace('*', '').length;
  return routes.filter((route) => takes(route, reading)).sort((a, b) => length(b) - length(a))[0];
}

function rank(route: Route): number {
  if (route.action !== 'verify') return route.action === 'reject' ? 3 : 0;
  return route.mode === 'report' && (route.reportUntil ?? Number.POSITIVE_INFINITY) > NOW ? 1 : 2;
}

/** `got` must let nothing through that `wanted` would have refused. */
function isAsStrict(got: Route, wanted: Route): boolean {
  if (rank(got) === 3 || rank(wanted) === 0) return true;
  if (rank(got) < rank(wanted)) return false;
  const within = (some: readonly string[] | null, all: readonly string[] | null) =>
    all === null || (some ?? ['any']).every((item) => all.includes(item));
  const lists = ['secrets', 'methods', 'allowHeaders'] as const;
  const refusesQuery = got.query === 'refuse' || wanted.query === 'forward';
  return lists.every((list) => within(got[list], wanted[list])) && got.maxBody <= wanted.maxBody && refusesQuery;
}

/** Nothing in it that servers disagree about, apart from spaces, non-ASCII letters, suffixes and script paths. */
function isQuiet(path: string): boolean {
  const [, ...segments] = path.split('/');
  return segments.every((segment, at) => {
    if (segment === '') return at === segments.length - 1;
    if (/;|%[2-7](?!0)/.test(segment) || /^\.+(?:$|[%:+])/.test(segment)) return false;
    if (/%(?:c[01]|e0%8[01]|f0%80)/i.test(segment)) return false;
    const letters = decodeURIComponent(segment.replace(/%ff/gi, '').replaceAll('.', '')).normalize('NFKC');
    return !/[/\\;?#%.\u00ad\u200b-\u200f\u2060\ufeff]|^\([A-Za-z]\(/.test(letters);
  });
}

/**
 * The operator's explicit choice: a plain target belongs to the longest path, before a shorter one that matches it or
 * can be read from it.
 */
function isMeant({ path, opened, wanted }: { path: string; opened: Route; wanted: Route }): boolean {
  return opened.path.length > wanted.path.length && isQuiet(path);
}

test('a target is treated as strictly as each of its readings', () => {
  assertSome(
    fc.property(attempt, ({ routes, unmatched, path }) => {
      fc.pre(passesTheGate(path));
      const got = new RouteTable(routes, unmatched).routeFor(path, NOW);
      if (got === null) return; // refused
      const opened = owner(routes, path);
      for (const [reading, how] of readings(path, [...OPERATIONS, SCRIPT], READINGS)) {
        const wanted = owner(routes, reading);
        if (wanted === undefined || isAsStrict(got, wanted)) continue;
        // The path of a script called without one (`/index.php/`) is its own name, not `/`.
        if (wanted.path === '/' && how.includes(SCRIPT.name)) continue;
        if (opened !== undefined && isMeant({ path, opened, wanted })) continue;
        expect.fail(`${path} is read as ${reading} (${how}): ${show(got)}, not ${show(wanted)}`);
      }
    }),
    2,
  );
});

test('a forward wildcard opens nothing outside its folder', () => {
  assertSome(
    fc.property(fc.oneof(attempt, withinFolder), ({ routes, unmatched, path }) => {
      fc.pre(unmatched.action !== 'forward' && passesTheGate(path));
      const got = new RouteTable(routes, unmatched).routeFor(path, NOW);
      fc.pre(got?.action === 'forward' && got.path.endsWith('/*'));
      const folder = canonical(got.path.slice(0, -2));
      for (const [reading, how] of readings(path, WITHIN_FOLDERS, READINGS)) {
        const at = canonical(reading);
        if (at.length > folder.length && folder.every((name, index) => at[index] === name)) continue;
        expect.fail(`${path} is read as ${reading} (${how}), which ${got.path} does not hold`);
      }
    }),
    2,
  );
});

function show({ path, action, mode, secrets, methods, maxBody, allowHeaders }: Route): string {
  return JSON.stringify({ path, action, mode, secrets, methods, maxBody, allowHeaders });
}
