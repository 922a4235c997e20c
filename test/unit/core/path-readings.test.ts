// Marks, matching and the checks on configured paths. Their effect on routes is tested in routes.test.ts.
import { describe, expect, test } from 'vitest';
import { foldPath } from '../../../src/core/fold-path.ts';
import { foldedPath, parsePattern, pathProblem } from '../../../src/core/path-patterns.ts';
import { RoutePaths } from '../../../src/core/path-readings.ts';
import { SPELLINGS } from '../../testdata/spellings.ts';
import { claimed, forward, NOW, split, table, verify } from './fixtures.ts';

// Those that show only once a path is decoded: fold-path.test.ts.
describe('marks', () => {
  test.each([
    ['an empty segment', '/a//b /a//'],
    ['a dot segment', '/./a /a/.. /a/..%20/b /a/.../b'],
    ['an encoded unreserved character', '/%41 /%7a /%30 /%2D /a%2Eb /%5f /%7E'],
    ['an encoded / \\ % ? or #', '/a%2Fb /a%5cb /a%25 /a%3F /a%23'],
    ['a path parameter', '/a;b /a%3Bb'],
    ['an invisible character, or an overlong form of an ASCII one', '/%25C0%25AE'],
    ['a session in brackets', '/(S(x))/a /a/(A(x)f()) /%28s%28x)%29/a'],
  ])('%s: %s', (mark, paths) => {
    for (const path of split(paths))
      expect([path, foldPath(path)?.marks]).toEqual([path, expect.arrayContaining([mark])]);
  });

  test('what has none', () => {
    const plain = "/ /a/ /a.b/..c/.d/e.. /a%20b /%C3%A9 /%EF%BD%81 /a%26b /a%3Ab /!$&'()*+,=:@~-_ /%20a";
    const noSession = '/(S)/a /()/a /a(S(x))/b /(S(x))b/c /(SS(x))/a /(S(x)1)/a';
    for (const path of split(`${plain} ${noSession}`)) expect([path, foldPath(path)?.marks]).toEqual([path, []]);
  });
});

describe('a name', () => {
  const notify = parsePattern('/notify');
  const routes = new RoutePaths([notify]);
  const reads = (path: string) => {
    const target = foldPath(path) ?? expect.fail(path);
    return routes.readingsIn(target).get(notify) ?? null;
  };

  test('continues with letters, digits, - and _, and ends at everything else', () => {
    for (let code = 0x21; code < 0x7f; code++) {
      const character = String.fromCharCode(code);
      if (/[#?\\]/.test(character)) continue;
      const goesOn = /[A-Za-z0-9_-]/.test(character);
      expect([character, reads(`/notify${character === '%' ? '%25' : character}x`)]).toEqual([
        character,
        goesOn ? null : 'prefix',
      ]);
    }
  });

  test('is not found after another character', () => {
    for (const before of ['.', '~', '!', '@', '%C3%A9', '!%20']) expect(reads(`/${before}notify`)).toBeNull();
    expect(claimed([verify('/a!')], '/a!x')).toBe('forward unmatched');
  });
});

// More of them: test/testdata/config/bad.
describe('a configured path', () => {
  test.each([
    ...split('/ /* /notify /a/b/* /a/ /v1.0/x.json /.well-known/x /caf%C3%A9 /my%20hook/* /a:b@c,d=e /v1/items:batch'),
    ...['/a+b/$5/x.y/(a)b/[a]b', `/a${'%CC%81'.repeat(30)}`, `/${'x'.repeat(1_023)}`],
  ])('may be %s', (path) => {
    expect(pathProblem(path)).toBeNull();
  });

  test.each([
    ['notify', 'must begin with /'],
    ['', 'must begin with /'],
    ['/café', 'write /caf%C3%A9'],
    ['/my hook', 'write /my%20hook'],
    ['/a#b', 'must not hold'],
    ['/a\\b', 'must not hold'],
    ['/a%zz', 'two hex digits'],
    ['/a%2Fb', 'only non-ASCII characters, and spaces'],
    ['/a%20/b', 'a space (%20) at an end of a segment'],
    ['/a//*', 'an empty segment'],
    ['/a/../b', 'a dot segment'],
    ['/a;b', 'a path parameter'],
    ['/a%EF%BC%8Fb', 'a character that folds'],
    ['/a%C0%AEb', 'an overlong form'],
    ['/%E0%A4%95%E2%80%8D', 'an invisible character'],
    ['/a%EF%BC%85b', 'a character that folds to %'],
    [`/a${'%CC%81'.repeat(31)}`, '31 accents in a row'],
    [`/${'x'.repeat(1_024)}`, 'longer than 1024'],
  ])('may not be %s: %s', (path, problem) => {
    expect(pathProblem(path)).toContain(problem);
  });

  test.each([
    ...[':id', ':id?', ':id([0-9]+)', '$id', '$' + '{id}', '[id]', '[...path]', '(group)', '(S(x))', '<id>', '{id}'],
    ...['{id:[0-9]+}', '+', '**', 'a*', '*.json', '.+', 'x.*', '\\d+', '[a-z]\\w', '^x', 'x$'],
  ])('may not hold %s, since other routers take it for a pattern', (segment) => {
    const advice = (path: string) => `other routers but plain text here: write ${path}`;
    expect(pathProblem(`/hooks/${segment}`)).toContain(advice('/hooks/* for everything below /hooks'));
    expect(pathProblem(`/hooks/${segment}/x/*`)).toContain(advice('/hooks/*'));
    expect(pathProblem(`/${segment}`)).toContain(advice('/* for everything'));
    expect(pathProblem(`/hooks/${segment}`)).toContain(`${segment}, a `);
  });

  test('with a space matches its own spelling and the readings of it', () => {
    const routes = table([verify('/my%20hook'), forward('/x/*')]);
    const routeOf = (path: string) => routes.routeFor(path, NOW)?.path;
    const read = split('/my%20hook /MY%20HOOK /my%20hook/ /my%2520hook /my%C2%A0hook /x/..;/my%20hook.json');
    expect(read.filter((path) => routeOf(path) !== '/my%20hook')).toEqual([]);
    expect(split('/myhook /my /my+hook /hook').filter((path) => routeOf(path) !== 'unmatched')).toEqual([]);
  });

  test('that is plain passes the gate', () => {
    for (const { target, treatment } of SPELLINGS) {
      if (treatment === 'refused') expect([target, pathProblem(target)]).not.toEqual([target, null]);
    }
  });
});

test.each([
  ...split('/notify=/notify/ /notify=/notify. /caf%C3%A9=/cafe%CC%81 /caf%C3%A9=/CAF%C3%89 /kiosk=/%E2%84%AAio%C5%BFk'),
  ...split('/a≠/b /a/*≠/a /a/b≠/ab /notify≠/notify.json'),
])('two configured paths fold to one text if a server may read one as the other: %s', (pair) => {
  const [one = '', other = ''] = pair.split(/[=≠]/);
  expect(foldedPath(one) === foldedPath(other)).toBe(pair.includes('='));
});
