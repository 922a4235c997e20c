// Which route a target gets, rule by rule (docs/security.md has the premise).
import { describe, expect, test } from 'vitest';
import { claimed, forward, NOW, reject, report, table, verify } from './fixtures.ts';

describe('by its plain spelling', () => {
  test('the longest path wins, whatever the order', () => {
    const routes = [forward('/hooks/*'), verify('/hooks/entrupy/*'), reject('/hooks/entrupy/old')];
    for (const order of [routes, routes.toReversed()]) {
      expect(claimed(order, '/hooks/x')).toBe('forward /hooks/*');
      expect(claimed(order, '/hooks/entrupy/x')).toBe('verify /hooks/entrupy/*');
      expect(claimed(order, '/hooks/entrupy/old')).toBe('reject /hooks/entrupy/old');
    }
  });

  test('an exact path is longer than a wildcard of as many characters', () => {
    for (const wildcard of [forward('/a/*'), verify('/a/*'), reject('/a/*')]) {
      expect(claimed([wildcard, verify('/a/b', { maxBody: 1 })], '/a/b')).toBe('verify /a/b');
      expect(claimed([verify('/a/b', { maxBody: 1 }), wildcard], '/a/b')).toBe('verify /a/b');
    }
    expect(claimed([forward('/*'), verify('/x')], '/x')).toBe('verify /x');
    expect(claimed([forward('/*'), verify('/x')], '/x.json')).toBe('verify /x');
    expect(claimed([verify('/a/*'), forward('/a/b')], '/a/b')).toBe('forward /a/b');
  });

  test('a longer path is not bound by a shorter exact one, unless the target has a mark', () => {
    const routes = [
      verify('/hooks', { secrets: ['a'] }),
      verify('/hooks/entrupy', { secrets: ['b'] }),
      reject('/admin'),
      verify('/admin/hook'),
    ];
    expect(table(routes).routeFor('/hooks/entrupy', NOW)?.secrets).toEqual(['b']);
    expect(table(routes).routeFor('/hooks//entrupy', NOW)?.secrets).toEqual([]);
    expect(claimed(routes, '/admin/hook')).toBe('verify /admin/hook');
    // `v1.0` could be a script, of which `/hooks` is the path.
    const versioned = table([verify('/hooks', { secrets: ['a'] }), verify('/v1.0/hooks', { secrets: ['b'] })]);
    expect(versioned.routeFor('/v1.0/hooks', NOW)?.secrets).toEqual(['b']);
    expect(versioned.routeFor('/v1.0//hooks', NOW)?.secrets).toEqual([]);
    expect(claimed(routes, '/admin//hook')).toBe('reject /admin');
  });

  test('a tie goes to the stricter one', () => {
    for (const other of [forward('/a/'), verify('/a/', { maxBody: 1 })]) {
      expect(claimed([reject('/a/*'), other], '/a/')).toBe('reject /a/*');
      expect(claimed([other, reject('/a/*')], '/a/')).toBe('reject /a/*');
    }
    expect(claimed([forward('/a/'), verify('/a/*')], '/a/')).toBe('verify /a/*');
    expect(claimed([verify('/a/*'), reject('/a/')], '/a/')).toBe('reject /a/');
    expect(claimed([reject('/a/'), verify('/a/*')], '/a/')).toBe('reject /a/');
  });

  test('a verify or reject wildcard matches its stem too, with and without a slash', () => {
    for (const path of ['/hooks', '/hooks/', '/hooks/x', '/hooks/x/y']) {
      expect(claimed([verify('/hooks/*')], path)).toBe('verify /hooks/*');
      expect(claimed([reject('/hooks/*')], path)).toBe('reject /hooks/*');
      expect(claimed([verify('/hooks/*')], path, 'reject')).toBe('verify /hooks/*');
    }
    expect(claimed([verify('/*')], '/', 'reject')).toBe('verify /*');
  });

  test('a forward wildcard matches only what is below its stem', () => {
    for (const path of ['/open', '/open/', '/openx', '/open/%20', '/open//', '/open/;x', '/open/%3fx/y', '/open/..']) {
      expect(claimed([forward('/open/*')], path, 'verify')).toBe('verify unmatched');
    }
    for (const path of ['/openly', '/openly/x', '/other', '/other/x/y', '/x/open/y']) {
      expect(claimed([forward('/open/*')], path, 'verify')).toBe('verify unmatched');
    }
    expect(claimed([forward('/open/*')], '/open/')).toBe('forward unmatched');
    for (const path of ['/open/x', '/open//x', '/open/a%2Fb', '/open/a;v=1', '/open/a%3Fb', '/open/..x']) {
      expect(claimed([forward('/open/*')], path, 'verify')).toBe('forward /open/*');
    }
  });

  test('/* matches everything', () => {
    for (const path of ['/', '/x', '//', '/x/../y']) expect(claimed([verify('/*')], path)).toBe('verify /*');
    expect(claimed([forward('/*')], '/x', 'reject')).toBe('forward /*');
    expect(claimed([forward('/*')], '/', 'reject')).toBe('reject unmatched');
  });

  test('a target that matches no route is unmatched', () => {
    for (const action of ['verify', 'forward', 'reject'] as const) {
      expect(claimed([verify('/notify')], '/other', action)).toBe(`${action} unmatched`);
    }
  });
});

describe('by another reading', () => {
  const longer = forward('/notify/healthz');

  test('a longer forward route wins over a verify route that is read without a mark', () => {
    expect(claimed([verify('/notify'), longer], '/notify/healthz')).toBe('forward /notify/healthz');
    expect(claimed([verify('/notify/*'), longer], '/notify/healthz')).toBe('forward /notify/healthz');
    expect(claimed([reject('/notify'), longer], '/notify/healthz')).toBe('forward /notify/healthz');
  });

  test('a shorter forward route does not', () => {
    const routes = [forward('/api/*'), verify('/api/notify')];
    for (const path of ['/api/notify/', '/api/NOTIFY', '/api/notify.json', '/api/notify/x']) {
      expect(claimed(routes, path)).toBe('verify /api/notify');
    }
    expect(claimed([verify('/open'), forward('/open/*')], '/open/%20')).toBe('verify /open');
  });

  test('under a mark the verify route wins over every forward route, however long', () => {
    const routes = [verify('/notify'), forward('/notify/*'), forward('/a/very/long/way/*')];
    for (const path of [
      '/notify/a;b',
      '/notify//x',
      '/notify/%61',
      '/a/very/long/way/%6eotify',
      '/a/very/long/way//notify',
    ]) {
      expect(claimed(routes, path)).toBe('verify /notify');
    }
    expect(claimed(routes, '/a/very/long/way/notify')).toBe('forward /a/very/long/way/*');
  });

  test('under a mark the segments match in order, not only side by side', () => {
    const routes = [verify('/a/b')];
    expect(claimed(routes, '/x/a/y/b;z')).toBe('verify /a/b');
    expect(claimed(routes, '/x/b/y/a;z')).toBe('forward unmatched');
    expect(claimed(routes, '/x/a/y/b')).toBe('forward unmatched');
    expect(claimed([verify('/notify')], '/x//notify%CC%81')).toBe('verify /notify');
  });

  test('the path that a script would get is read too', () => {
    expect(claimed([verify('/notify')], '/index.php/notify')).toBe('verify /notify');
    expect(claimed([verify('/a/b')], '/x/app.cgi/a/b')).toBe('verify /a/b');
    expect(claimed([verify('/notify')], '/index/notify')).toBe('forward unmatched');
    expect(claimed([verify('/notify')], '/index./notify')).toBe('forward unmatched');
  });

  test('/ is read only from targets that fold to nothing or climb', () => {
    for (const path of [
      '/',
      '//',
      '/.',
      '/%20',
      '/;x',
      '/;x/y',
      '/%3fx',
      '/x/..',
      '/x/..%20',
      '/x/%2e%2e',
      '/(S(x))/',
    ]) {
      expect(claimed([verify('/')], path)).toBe('verify /');
    }
    for (const path of ['/x', '/x/', '/index.php', '/index.php/', '/x;y', '/x//y']) {
      expect(claimed([verify('/')], path)).toBe('forward unmatched');
    }
  });

  test('a non-ASCII configured path is read in either case and as bytes', () => {
    const routes = [verify('/caf%C3%A9')];
    for (const path of ['/caf%C3%A9', '/CAF%C3%89', '/caf%c3%a9/', '/cafe%CC%81', '/caf%C3%A9.json']) {
      expect(claimed(routes, path)).toBe('verify /caf%C3%A9');
    }
    expect(claimed(routes, '/cafe')).toBe('forward unmatched');
    expect(claimed([verify('/%FF%FE')], '/%ff%fe;x')).toBe('verify /%FF%FE');
  });
});

describe('a forward wildcard and ..', () => {
  // Each way to climb: fold-path.test.ts.
  const climbing = ['/open/../x', '/open/x/..%2f..%2fy', '/open/%c0%ae%c0%ae/y', '/open/.%E2%80%8B./y'];

  test('it does not match a target that climbs', () => {
    for (const path of climbing) {
      expect(claimed([forward('/open/*')], path, 'verify')).toBe('verify unmatched');
      expect(claimed([forward('/open/*')], path, 'reject')).toBe('reject unmatched');
    }
  });

  test('nor one that is the folder itself once a session in brackets is dropped', () => {
    for (const path of ['/open/(S(x))/', '/open/%28A(x)f(y;z)%29', '/open/(S(x))/;y/z']) {
      expect(claimed([forward('/open/*')], path, 'reject')).toBe('reject unmatched');
    }
    expect(claimed([forward('/open/*')], '/open/(S(x))/y', 'reject')).toBe('forward /open/*');
  });

  test('unless everything else is open too', () => {
    for (const path of climbing) expect(claimed([forward('/open/*')], path)).toBe('forward /open/*');
    expect(claimed([forward('/open/*'), verify('/y')], '/open/../y')).toBe('verify /y');
    expect(claimed([forward('/open/*'), verify('/y')], '/open/../z')).toBe('forward /open/*');
  });
});

describe('the strictest of several', () => {
  test('reject is stricter than verify, enforce than report, report than forward', () => {
    expect(claimed([verify('/a'), reject('/b')], '/a/../b')).toBe('reject /b');
    expect(claimed([report('/long/path'), verify('/b')], '/long/path/../../b')).toBe('verify /b');
    expect(table([report('/a'), verify('/b')]).routeFor('/a/../b', NOW)?.mode).toBe('enforce');
    expect(table([report('/b')]).routeFor('/x/../b', NOW)?.mode).toBe('report');
  });

  test('unmatched is one of them', () => {
    expect(claimed([report('/notify')], '/x/../notify', 'verify')).toBe('verify unmatched');
    expect(claimed([verify('/notify')], '/x/../notify', 'reject')).toBe('reject unmatched');
    expect(claimed([verify('/notify')], '/x/../notify', 'verify')).toBe('verify /notify');
  });

  test('all verify candidates must be satisfied', () => {
    const both = table([
      verify('/a', { secrets: ['one', 'two'], methods: ['POST', 'PUT'], maxBody: 20, allowHeaders: ['x-a', 'x-b'] }),
      verify('/b', { secrets: ['two', 'three'], methods: ['PUT'], maxBody: 10, allowHeaders: ['x-b'] }),
    ]).routeFor('/a/../b', NOW);
    expect(both).toMatchObject({ secrets: ['two'], methods: ['PUT'], maxBody: 10, allowHeaders: ['x-b'] });
  });

  test('one that refuses a query decides for all', () => {
    const routes = [verify('/a'), report('/b', { query: 'refuse' })];
    expect(table(routes).routeFor('/a/../b', NOW)).toMatchObject({ path: '/a', query: 'refuse' });
    expect(table(routes).routeFor('/a', NOW)).toMatchObject({ query: 'forward' });
  });

  test('a report route among them still narrows an enforcing one', () => {
    const both = table([verify('/a', { secrets: ['one'] }), report('/b', { secrets: ['two'] })]).routeFor(
      '/a/../b',
      NOW,
    );
    expect(both).toMatchObject({ path: '/a', mode: 'enforce', secrets: [] });
  });

  test('a route without a list gets the other’s list', () => {
    const both = table([verify('/a', { methods: null }), verify('/b', { secrets: ['two'] })]).routeFor('/a/../b', NOW);
    expect(both).toMatchObject({ secrets: ['two'], methods: ['POST'] });
  });

  test('an empty intersection stays empty: nothing gets through', () => {
    const both = table([
      verify('/a', { secrets: ['one'], methods: ['POST'] }),
      verify('/b', { secrets: ['two'], methods: ['PUT'] }),
    ]).routeFor('/a/../b', NOW);
    expect(both).toMatchObject({ action: 'verify', secrets: [], methods: [] });
  });

  test('the label is the longest of the strictest', () => {
    expect(claimed([verify('/a'), verify('/a/long/one')], '/a;/long/one')).toBe('verify /a/long/one');
    expect(claimed([report('/a/long/one'), verify('/a')], '/a;/long/one')).toBe('verify /a');
  });
});

describe('report mode', () => {
  test('ends at its time, also for a path that is cached', () => {
    const routes = table([report('/a', { reportUntil: NOW }), report('/long')]);
    const at = (now: number) => routes.routeFor('/a/../long', now)?.path;
    expect([at(NOW - 1), at(NOW - 1), at(NOW), at(NOW + 1)]).toEqual(['/long', '/long', '/a', '/a']);
  });

  test('each route ends at its own time', () => {
    const routes = table([
      report('/a', { reportUntil: NOW }),
      report('/long', { reportUntil: NOW + 10 }),
      report('/longest'),
    ]);
    const at = (now: number) => routes.routeFor('/a/../long/../longest', now)?.path;
    expect([at(NOW - 1), at(NOW), at(NOW + 9), at(NOW + 10)]).toEqual(['/longest', '/a', '/a', '/long']);
  });
});

test('the candidates say which routes could be read, and how', () => {
  const examined = table([verify('/notify'), forward('/x/*'), reject('/n')]).examine('/x//notify', NOW);
  expect(examined?.candidates.map(({ route, how }) => [route.path, how])).toEqual([
    ['/x/*', 'plain'],
    ['/notify', 'in order'],
  ]);
});

describe('the cache', () => {
  // Two verify routes merge into a new object each time, so object identity shows whether the result was cached.
  const routes = () => table([verify('/a'), verify('/b')]);

  test('remembers a path', () => {
    const one = routes();
    expect(one.routeFor('/a/../b', NOW)).toBe(one.routeFor('/a/../b', NOW));
  });

  test('does not remember long paths', () => {
    const one = routes();
    const long = `/a/../b/${'x'.repeat(300)}`;
    expect(one.routeFor(long, NOW)).not.toBe(one.routeFor(long, NOW));
  });

  test('is emptied, not grown, by many paths', () => {
    const one = routes();
    const first = one.routeFor('/a/../b', NOW);
    for (let index = 0; index < 2_000; index++) one.routeFor(`/${index}`, NOW);
    expect(one.routeFor('/a/../b', NOW)).not.toBe(first);
    expect(one.routeFor('/a/../b', NOW)).toEqual(first);
  });
});

test('a thousand routes stay distinct', () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `/tenants/t${index}/notify`);
  const routes = table(
    names.map((path) => verify(path)),
    'reject',
  );
  for (const path of names) expect(routes.routeFor(path, NOW)?.path).toBe(path);
  expect(routes.routeFor('/x/../tenants/T999/notify/', NOW)?.action).toBe('reject');
  expect(table(names.map((path) => verify(path))).routeFor('/x/../tenants/T999/notify/', NOW)?.path).toBe(
    '/tenants/t999/notify',
  );
});
