// Spec §6.2 as a property. Premise: servers decode, fold, cut and drop path segments; they do not invent them. Theorem:
// a target gets the strictest treatment that any reading of it could get. The servers are test/fuzz/lax-server.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refusedByGate } from '../../src/core/gate.ts';
import { readHead } from '../../src/core/head.ts';
import { type Route, RouteTable, UNMATCHED } from '../../src/core/routes.ts';
import { foldsAlike, pathOf } from '../../src/core/targets.ts';
import { OPERATIONS, readings, SCRIPT } from './lax-server.ts';
import { TEST_TIMEOUT, TIME_BOX } from './time-box.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z');
const READINGS = 120;

// Few and alike, so that routes meet each other and the targets meet the routes.
const NAMES = ['notify', 'hooks', 'api', 'ok', 'x', 'a', 'index.php', 'v1.0', 'caf%C3%A9', 'Kiss'] as const;

const plainPath = fc
  .tuple(fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }), fc.constantFrom('', '', '/*'))
  .map(([segments, end]) =>
    end === '' && segments.length === 0 ? '/' : segments.map((name) => `/${name}`).join('') + end,
  );

const route: fc.Arbitrary<Route> = fc.record({
  path: plainPath,
  action: fc.constantFrom('verify', 'verify', 'forward', 'forward', 'reject'),
  methods: fc.constantFrom(null, ['POST'], ['PUT', 'POST']),
  secrets: fc.constantFrom(null, ['one'], ['one', 'two']),
  mode: fc.constantFrom('enforce', 'enforce', 'report'),
  reportUntil: fc.constantFrom(null, NOW - 1, NOW + 1),
  maxBody: fc.constantFrom(1024, 4096),
  once: fc.constant(null),
  upgrade: fc.constant([]),
  allowHeaders: fc.constantFrom([], ['x-forwarded-prefix']),
  responseTimeout: fc.constant(null),
  idleTimeout: fc.constant(null),
});

function tidy(route: Route): Route {
  return route.action === 'verify' ? route : { ...route, mode: 'enforce', secrets: null };
}

const policy = fc.record({
  routes: fc
    .uniqueArray(route, { minLength: 1, maxLength: 5, comparator: (a, b) => foldsAlike(a.path, b.path) })
    .map((routes) => routes.map(tidy)),
  unmatched: fc.constantFrom('verify', 'forward', 'reject').map(
    (action): Route => ({
      path: UNMATCHED,
      action,
      methods: action === 'verify' ? ['POST'] : null,
      secrets: null,
      mode: 'enforce',
      reportUntil: null,
      maxBody: 4096,
      once: null,
      upgrade: [],
      allowHeaders: [],
      responseTimeout: null,
      idleTimeout: null,
    }),
  ),
});

/** One character of a name, as some server would still read it. */
const disguise = fc.constantFrom<((character: string) => string)[]>(
  (c) => c,
  (c) => c,
  (c) => c,
  (c) => c.toUpperCase(),
  (c) => escaped(c),
  (c) => escaped(c).toLowerCase(),
  (c) => escaped(escaped(c)),
  (c) => escaped(c).replace(/%(.)(.)/, (_all, high: string, low: string) => `%25${escaped(high)}${low}`),
  (c) => utf8(fullWidth(c)),
  (c) => utf8({ k: '\u212a', s: '\u017f', i: '\u2170', a: '\u00aa', '.': '\u2024' }[c] ?? c),
  (c) => utf8({ i: '\u0131' }[c] ?? c),
  (c) => escaped(utf8(fullWidth(c))),
);

const JOINTS = [
  '/',
  '/',
  '/',
  '/',
  '//',
  '%2f',
  '%5C',
  '%255c',
  '%252F',
  '/./',
  '/%2e/',
  utf8('\uff0f'),
  utf8('\uff3c'),
  ';/',
  ';p=1/',
  '%3b/',
  '/%20/',
  '.%20/',
];
const ENDS = [
  '',
  '',
  '',
  '/',
  '.json',
  '.',
  ':x',
  ';v=1',
  '%20',
  '%3fx',
  '%23y/z',
  '%3b',
  '/.',
  '/x/..',
  '/..',
  '/more',
  '~',
  '%c3%a9',
  '%cc%81',
  '%e2%80%a6',
  '%ff',
  '%2500',
];
const UPS = [
  '..',
  '..',
  '%2e.',
  '%2E%2e',
  '.%252e',
  '..;',
  '..;x=1',
  '..%20',
  '..%2520',
  '...',
  utf8('\u2025'),
  `..${utf8('\u00a0')}`,
  '..%23',
  '. .',
  '..%3f',
];

const disguised = (names: readonly string[]) =>
  fc
    .array(disguise, { minLength: 8, maxLength: 8 })
    .chain((changes) =>
      fc
        .constantFrom(...names)
        .map((name) => (name.includes('%') ? name : [...name].map((c, at) => (changes[at % 8] ?? String)(c)).join(''))),
    );

const climb = fc
  .tuple(fc.constantFrom(...NAMES), fc.constantFrom(...JOINTS), fc.constantFrom(...UPS))
  .map((parts) => parts.join(''));
const junk = fc.oneof(climb, fc.constantFrom('index.php', 'a.b', '.', '', 'x', '%20', ...UPS), disguised(NAMES));

/** A target that leads to one of the routes, or almost: its own segments in their order, disguised, among others. */
const targetNear = (routes: readonly Route[]) =>
  fc.constantFrom(...routes.map(({ path }) => path)).chain((path) => {
    const own = path.split('/').filter((name) => name !== '' && name !== '*');
    const parts = own.map((name) =>
      fc.tuple(fc.array(junk, { maxLength: 1 }), disguised([name])).map(([before, it]) => [...before, it]),
    );
    return fc
      .tuple(
        fc.array(junk, { maxLength: 2 }),
        fc.tuple(...parts),
        fc.array(junk, { maxLength: 2 }),
        fc.array(fc.constantFrom(...JOINTS), { minLength: 9, maxLength: 9 }),
        fc.constantFrom(...ENDS),
      )
      .map(([before, middle, after, joints, end]) => {
        const segments = [...before, ...middle.flat(), ...after];
        return `/${segments.map((segment, at) => (at === 0 ? segment : (joints[at % 9] ?? '/') + segment)).join('')}${end}`;
      });
  });

const attempt = policy.chain(({ routes, unmatched }) =>
  fc.record({
    routes: fc.constant(routes),
    unmatched: fc.constant(unmatched),
    path: fc.oneof(targetNear(routes), targetNear([...routes, { ...unmatched, path: '/nowhere/else' }])),
  }),
);

function escaped(text: string): string {
  return [...text].map((c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
function fullWidth(c: string): string {
  return /[!-~]/.test(c) ? String.fromCharCode(c.charCodeAt(0) + 0xfee0) : c;
}
function utf8(text: string): string {
  return [...text].map((c) => (/[!-~]/.test(c) ? c : encodeURIComponent(c))).join('');
}

function passesTheGate(path: string): boolean {
  return refusedByGate(readHead({ method: 'POST', target: path, version: '1.1' }, ['Host', 'a'])) === null;
}

/** The plain rule, said once more: exact, or below the wildcard; verify and reject take the stem itself too. */
function takes({ path, action }: Route, reading: string): boolean {
  if (!path.endsWith('/*')) return reading === path;
  const stem = path.slice(0, -2);
  if (action === 'forward') return reading.startsWith(`${stem}/`) && reading.length > stem.length + 1;
  return `${reading}/`.startsWith(`${stem}/`);
}

function longest(routes: readonly Route[], reading: string): Route | undefined {
  return routes
    .filter((route) => takes(route, reading))
    .sort((a, b) => b.path.length - a.path.length || Number(a.path.endsWith('/*')) - Number(b.path.endsWith('/*')))[0];
}

function rank(route: Route): number {
  if (route.action !== 'verify') return route.action === 'reject' ? 3 : 0;
  return route.mode === 'report' && (route.reportUntil ?? Number.POSITIVE_INFINITY) > NOW ? 1 : 2;
}

/** Nothing may be let by for `got` that `wanted` would have refused. */
function asStrict(got: Route, wanted: Route): boolean {
  if (rank(got) === 3 || rank(wanted) === 0) return true;
  if (rank(got) < rank(wanted) || rank(wanted) === 3) return false;
  const within = (some: readonly string[] | null, all: readonly string[] | null) =>
    all === null || (some ?? ['any']).every((item) => all.includes(item));
  return (
    within(got.secrets, wanted.secrets) &&
    within(got.methods, wanted.methods) &&
    within(got.allowHeaders, wanted.allowHeaders) &&
    got.maxBody <= wanted.maxBody
  );
}

/** Nothing in it that servers disagree about, but for spaces, letters beyond ASCII, and what scripts and suffixes do. */
function isQuiet(path: string): boolean {
  return path
    .split('/')
    .slice(1)
    .every(
      (segment, at, all) =>
        (segment !== '' || at === all.length - 1) &&
        !/;|%[2-7](?!0)/.test(segment) &&
        !/^\.+(?:$|%)/.test(segment) &&
        !/[/\\;?#%.]/.test(decodeURIComponent(segment.replace(/%ff/gi, '').replaceAll('.', '')).normalize('NFKC')),
    );
}

test('no reading of a target is treated less strictly than the target', { timeout: TEST_TIMEOUT }, () => {
  fc.assert(
    fc.property(attempt, ({ routes, unmatched, path }) => {
      fc.pre(passesTheGate(path) && pathOf(path) === path);
      const treatment = new RouteTable(routes, unmatched).claim(path, NOW);
      const opened = longest(routes, path);
      for (const [reading, how] of readings(path, [...OPERATIONS, SCRIPT], READINGS)) {
        const owner = longest(routes, reading);
        if (owner === undefined || asStrict(treatment, owner)) continue;
        // What a script is called without a path of its own (`/index.php/`) is its own name, not `/`.
        if (owner.path === '/' && how.includes(SCRIPT.name)) continue;
        // The operator said so: a longer forward route takes the target, which is plain.
        if (opened?.action === 'forward' && opened.path.length > owner.path.length && isQuiet(path)) continue;
        expect.fail(`${path} is read as ${reading} (${how}): ${show(treatment)} instead of ${show(owner)}`);
      }
    }),
    TIME_BOX,
  );
});

test('a forward wildcard opens nothing outside its folder', { timeout: TEST_TIMEOUT }, () => {
  fc.assert(
    fc.property(attempt, ({ routes, unmatched, path }) => {
      fc.pre(unmatched.action !== 'forward' && passesTheGate(path));
      const treatment = new RouteTable(routes, unmatched).claim(path, NOW);
      fc.pre(treatment.action === 'forward' && treatment.path.endsWith('/*'));
      const stem = canonical(treatment.path.slice(0, -2));
      for (const [reading, how] of readings(path, OPERATIONS, READINGS)) {
        const at = canonical(reading);
        if (at.length > stem.length && stem.every((name, index) => at[index] === name)) continue;
        expect.fail(`${path} is read as ${reading} (${how}), which ${treatment.path} does not hold`);
      }
    }),
    TIME_BOX,
  );
});

function canonical(path: string): string[] {
  let at = path;
  for (const { apply } of OPERATIONS.slice(1, 12)) at = apply(at);
  return at
    .split('/')
    .map((segment) => segment.replace(/[\x00-\x20\x7f]+$/, ''))
    .filter((segment) => segment !== '' && segment !== '.');
}

function show({ path, action, mode, secrets, methods, maxBody, allowHeaders }: Route): string {
  return JSON.stringify({ path, action, mode, secrets, methods, maxBody, allowHeaders });
}
