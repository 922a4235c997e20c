// Which route a target gets, rule by rule (docs/security.md has the premise).
import { describe, expect, test } from 'vitest';
import type { Route } from '../../../src/core/routes.ts';
import { claimed, forward, NOW, reject, report, split, table, verify } from './fixtures.ts';

/** By the route that they get, as `action path`: targets, with spaces between. */
type Claims = Readonly<Record<string, string>>;
type Row = readonly [rule: string, routes: readonly Route[], claims: Claims, unmatched?: Route['action']];

const CLIMBING = '/open/../x /open/x/..%2f..%2fy /open/%c0%ae%c0%ae/y /open/.%E2%80%8B./y';
const BELOW_NOTHING = '/open /open/ /openx /open/%20 /open// /open/;x /open/%3fx/y /open/..';

/** In whatever order the routes are configured. */
const BY_PLAIN_SPELLING: readonly Row[] = [
  [
    'the longest path wins',
    [forward('/hooks/*'), verify('/hooks/entrupy/*'), reject('/hooks/entrupy/old')],
    {
      'forward /hooks/*': '/hooks/x',
      'verify /hooks/entrupy/*': '/hooks/entrupy/x',
      'reject /hooks/entrupy/old': '/hooks/entrupy/old',
    },
  ],
  ...[forward('/a/*'), verify('/a/*'), reject('/a/*')].map(
    (wildcard): Row => [
      `an exact path is longer than a wildcard of as many characters, even ${wildcard.action}`,
      [wildcard, verify('/a/b', { maxBody: 1 })],
      { 'verify /a/b': '/a/b' },
    ],
  ),
  ['or of fewer', [forward('/*'), verify('/x')], { 'verify /x': '/x /x.json' }],
  ['or of stricter', [verify('/a/*'), forward('/a/b')], { 'forward /a/b': '/a/b' }],
  [
    'a longer path is not bound by a shorter exact one, unless the target has a mark',
    [reject('/admin'), verify('/admin/hook')],
    { 'verify /admin/hook': '/admin/hook', 'reject /admin': '/admin//hook' },
  ],
  ['a tie goes to reject before forward', [reject('/a/*'), forward('/a/')], { 'reject /a/*': '/a/' }],
  ['be it exact', [reject('/a/'), verify('/a/*')], { 'reject /a/': '/a/' }],
  ['and to verify before forward', [forward('/a/'), verify('/a/*')], { 'verify /a/*': '/a/' }],
  ...[verify('/hooks/*'), reject('/hooks/*')].map(
    (route): Row => [
      `a ${route.action} wildcard matches its stem too, with and without a slash`,
      [route],
      { [`${route.action} /hooks/*`]: '/hooks /hooks/ /hooks/x /hooks/x/y' },
    ],
  ),
  ['the root is a stem', [verify('/*')], { 'verify /*': '/' }, 'reject'],
  ['unmatched does not bind it', [verify('/x/*')], { 'verify /x/*': '/x /x/' }, 'reject'],
  [
    'a forward wildcard matches only what is below its stem',
    [forward('/open/*')],
    {
      'verify unmatched': `${BELOW_NOTHING} /openly /openly/x /other /other/x/y /x/open/y`,
      'forward /open/*': '/open/x /open//x /open/a%2Fb /open/a;v=1 /open/a%3Fb /open/..x',
    },
    'verify',
  ],
  ['whatever is below it', [forward('/open/*')], { 'forward unmatched': '/open/' }],
  ['/* matches everything', [verify('/*')], { 'verify /*': '/ /x // /x/../y' }],
  ['but / itself if it forwards', [forward('/*')], { 'forward /*': '/x', 'reject unmatched': '/' }, 'reject'],
];

const BY_ANOTHER_READING: readonly Row[] = [
  ...[verify('/notify'), verify('/notify/*'), reject('/notify')].map(
    (route): Row => [
      `a longer forward route wins over ${route.action} ${route.path} that is read without a mark`,
      [route, forward('/notify/healthz')],
      { 'forward /notify/healthz': '/notify/healthz' },
    ],
  ),
  [
    'a shorter forward route does not',
    [forward('/api/*'), verify('/api/notify')],
    { 'verify /api/notify': '/api/notify/ /api/NOTIFY /api/notify.json /api/notify/x' },
  ],
  ['nor one of the same stem', [verify('/open'), forward('/open/*')], { 'verify /open': '/open/%20' }],
  [
    'under a mark the verify route wins over every forward route, however long',
    [verify('/notify'), forward('/notify/*'), forward('/a/very/long/way/*')],
    {
      'verify /notify':
        '/notify/a;b /notify//x /notify/%61 /a/very/long/way/%6eotify /a/very/long/way//notify /x//notify%CC%81',
      'forward /a/very/long/way/*': '/a/very/long/way/notify',
    },
  ],
  [
    'under a mark the segments match in order, not only side by side',
    [verify('/a/b')],
    { 'verify /a/b': '/x/a/y/b;z', 'forward unmatched': '/x/b/y/a;z /x/a/y/b' },
  ],
  [
    'the path that a script would get is read too',
    [verify('/notify'), verify('/a/b')],
    {
      'verify /notify': '/index.php/notify',
      'verify /a/b': '/x/app.cgi/a/b',
      'forward unmatched': '/index/notify /index./notify',
    },
  ],
  [
    '/ is read only from targets that fold to nothing or climb',
    [verify('/')],
    {
      'verify /': '/ // /. /%20 /;x /;x/y /%3fx /x/.. /x/..%20 /x/%2e%2e /(S(x))/',
      'forward unmatched': '/x /x/ /index.php /index.php/ /x;y /x//y',
    },
  ],
  [
    'a non-ASCII configured path is read in either case and as bytes',
    [verify('/caf%C3%A9'), verify('/%FF%FE')],
    {
      'verify /caf%C3%A9': '/caf%C3%A9 /CAF%C3%89 /caf%c3%a9/ /cafe%CC%81 /caf%C3%A9.json',
      'verify /%FF%FE': '/%ff%fe;x',
      'forward unmatched': '/cafe',
    },
  ],
  // Each way to climb: fold-path.test.ts.
  ...(['verify', 'reject'] as const).map(
    (action): Row => [
      `a forward wildcard does not match a target that climbs, beside unmatched: ${action}`,
      [forward('/open/*')],
      { [`${action} unmatched`]: CLIMBING },
      action,
    ],
  ),
  [
    'nor one that is the folder itself once a session in brackets is dropped',
    [forward('/open/*')],
    {
      'reject unmatched': '/open/(S(x))/ /open/%28A(x)f(y;z)%29 /open/(S(x))/;y/z',
      'forward /open/*': '/open/(S(x))/y',
    },
    'reject',
  ],
  ['unless everything else is open too', [forward('/open/*')], { 'forward /open/*': CLIMBING }],
  [
    'but what is verified',
    [forward('/open/*'), verify('/y')],
    { 'verify /y': '/open/../y', 'forward /open/*': '/open/../z' },
  ],
];

const STRICTEST: readonly Row[] = [
  ['reject is stricter than verify', [verify('/a'), reject('/b')], { 'reject /b': '/a/../b' }],
  ['enforce than report', [report('/long/path'), verify('/b')], { 'verify /b': '/long/path/../../b' }],
  ['unmatched is one of them', [report('/notify')], { 'verify unmatched': '/x/../notify' }, 'verify'],
  ['and rejects', [verify('/notify')], { 'reject unmatched': '/x/../notify' }, 'reject'],
  ['or is as strict', [verify('/notify')], { 'verify /notify': '/x/../notify' }, 'verify'],
  ['the label is the longest', [verify('/a'), verify('/a/long/one')], { 'verify /a/long/one': '/a;/long/one' }],
  ['of the strictest', [report('/a/long/one'), verify('/a')], { 'verify /a': '/a;/long/one' }],
];

describe.each([
  ['by its plain spelling', BY_PLAIN_SPELLING],
  ['by another reading', BY_ANOTHER_READING],
  ['the strictest of several', STRICTEST],
])('%s', (_, rows) => {
  for (const [rule, routes, claims, unmatched = 'forward'] of rows)
    test(rule, () => {
      for (const [claim, paths] of Object.entries(claims))
        for (const path of split(paths))
          for (const order of [routes, routes.toReversed()])
            expect([path, claimed(order, path, unmatched)]).toEqual([path, claim]);
    });
});

test.each<[string, readonly Route[], Partial<Route>]>([
  [
    'all verify candidates must be satisfied',
    [
      verify('/a', { secrets: ['one', 'two'], methods: ['POST', 'PUT'], maxBody: 20, allowHeaders: ['x-a', 'x-b'] }),
      verify('/b', { secrets: ['two', 'three'], methods: ['PUT'], maxBody: 10, allowHeaders: ['x-b'] }),
    ],
    { secrets: ['two'], methods: ['PUT'], maxBody: 10, allowHeaders: ['x-b'] },
  ],
  [
    'one that refuses a query decides for all',
    [verify('/a'), report('/b', { query: 'refuse' })],
    { path: '/a', query: 'refuse', mode: 'enforce' },
  ],
  [
    'a report route among them still narrows an enforcing one',
    [verify('/a', { secrets: ['one'] }), report('/b', { secrets: ['two'] })],
    { path: '/a', mode: 'enforce', secrets: [] },
  ],
  [
    'a route without a list gets the other’s list',
    [verify('/a', { methods: null }), verify('/b', { secrets: ['two'] })],
    { secrets: ['two'], methods: ['POST'] },
  ],
  [
    'an empty intersection stays empty: nothing gets through',
    [verify('/a', { secrets: ['one'] }), verify('/b', { secrets: ['two'], methods: ['PUT'] })],
    { action: 'verify', secrets: [], methods: [] },
  ],
  ['one alone keeps its mode', [report('/b'), verify('/c')], { path: '/b', mode: 'report' }],
])('%s', (_, routes, expected) => {
  expect(table(routes).routeFor('/a/../b', NOW)).toMatchObject(expected);
});

test('report mode ends at each route’s time, also for a path that is cached', () => {
  const routes = table([
    report('/a', { reportUntil: NOW }),
    report('/long', { reportUntil: NOW + 10 }),
    report('/longest'),
  ]);
  const at = (now: number) => routes.routeFor('/a/../long/../longest', now)?.path;
  expect([at(NOW - 1), at(NOW - 1), at(NOW), at(NOW + 9), at(NOW + 10)]).toEqual([
    ...['/longest', '/longest', '/a', '/a', '/long'],
  ]);
});

test('the candidates say which routes could be read, and how', () => {
  const examined = table([verify('/notify'), forward('/x/*'), reject('/n')]).examine('/x//notify', NOW);
  expect(examined?.candidates.map(({ route, how }) => `${route.path} ${how}`)).toEqual([
    '/x/* plain',
    '/notify in order',
  ]);
});

test('the cache remembers a path but no long one, and is emptied, not grown, by many', () => {
  // Two verify routes merge into a new object each time, so object identity shows whether the result was cached.
  const routes = table([verify('/a'), verify('/b')]);
  const [first, long] = [routes.routeFor('/a/../b', NOW), `/a/../b/${'x'.repeat(300)}`];
  expect(routes.routeFor('/a/../b', NOW)).toBe(first);
  expect(routes.routeFor(long, NOW)).not.toBe(routes.routeFor(long, NOW));
  for (let index = 0; index < 2_000; index++) routes.routeFor(`/${index}`, NOW);
  expect(routes.routeFor('/a/../b', NOW)).not.toBe(first);
  expect(routes.routeFor('/a/../b', NOW)).toEqual(first);
});
