// What a target costs grows with its bytes alone, whatever they are: at most eight times the CPU time of as many bytes of
// letters, with one route and with a thousand. Whatever is quadratic costs 40 times as much at 64 KiB. First the shapes
// that people thought of, then those that chance finds. In `npm test` these with one route, in `npm run fuzz:gate` with all.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { admit } from '../../src/core/admission.ts';
import type { RouteTable } from '../../src/core/routes.ts';
import { leastCpu } from '../support/machine/cpu-time.ts';
import { head, NOW, policyOf, split, table, verify } from '../unit/core/fixtures.ts';
import { assertSome, IS_LONG } from './time-box.ts';

const SIZE = 16 * 1024;

const WORDS = [...'abcdefghij'];
const thousand = (path: (index: number) => string) =>
  table(Array.from({ length: 1_000 }, (_, index) => verify(path(index))));
const ONE = table([verify('/notify')]);
const OF_TEN_WORDS = thousand((index) =>
  [...`${index}`.padStart(3, '0')].map((at) => `/${WORDS[Number(at)]}`).join(''),
);
const TABLES = {
  'one route': ONE,
  'a thousand tenants': thousand((index) => `/tenants/t${index}/hooks`),
  'a thousand of ten words': OF_TEN_WORDS,
  'a thousand lengths': thousand((index) => `/${'x.'.repeat((index % 500) + 1)}y${index < 500 ? '' : 'z'}`),
} satisfies Record<string, RouteTable>;
const TRIED = Object.entries(TABLES).slice(0, IS_LONG ? 4 : 1);

const costOf = (target: string, routes: RouteTable, limit = 0) => {
  const arrival = { head: head({ target }), policy: { ...policyOf([], []), routes }, at: NOW };
  return leastCpu(() => admit(arrival), limit);
};

/** Eight times what as many bytes of letters cost. */
function limitOf(size: number, routes: RouteTable): number {
  const letters = `/${repeated('%c3%a9')(size)}`;
  costOf(letters, routes);
  return 8 * costOf(letters, routes);
}

/** How many times as much as letters; both again where it seems too much: a busy machine, or cold code, may hold up one. */
function timesOf(target: string, routes: RouteTable, limit: number): number {
  let times = (8 * costOf(target, routes, limit)) / limit;
  for (let again = 0; times > 8 && again < 5; again++)
    times = (8 * costOf(target, routes)) / limitOf(target.length, routes);
  return times;
}

/** Few bytes that make each reading of a target another one, so that all of it is read eight times. */
const ALL_READINGS = '%c3%a9%ef%bc%a1%c2%ad%c0%ae/';
/** Bytes, and those before the others. */
const READ_AT = [
  [SIZE, ALL_READINGS],
  [4 * SIZE, ''],
] as const;

const repeated = (unit: string) => (size: number) => unit.repeat(Math.max(1, Math.floor(size / unit.length)));
const half = (unit: string) => (size: number) => repeated(unit)(size / 2);

const [ACUTE, DOT_BELOW, VOICED] = ['%cc%81', '%cc%a3', '%ef%be%9e'];

const SHAPES: Readonly<Record<string, (size: number) => string>> = {
  'marks out of order': (size) => half(ACUTE)(size) + half(DOT_BELOW)(size),
  'marks out of order, behind 30 in order': (size) =>
    repeated(`a${ACUTE.repeat(30)}`)(size / 2) + half(DOT_BELOW)(size),
  'marks that NFKC makes': repeated(ACUTE.repeat(30) + VOICED.repeat(30)),
  'marks around invisible characters': repeated(`${ACUTE.repeat(30)}%e2%80%8b${DOT_BELOW.repeat(30)}%c2%ad`),
  'marks that are encoded twice': (size) => half('%25cc%2581')(size) + half('%25cc%25a3')(size),
  'runs of 30 marks out of order': repeated(`a${ACUTE.repeat(15)}${DOT_BELOW.repeat(15)}`),
  'runs of 13 marks': repeated(`a${ACUTE.repeat(13)}`),
  'full-width percent signs': repeated('%ef%bc%85'),
  'full-width percent signs, nested': (size) => `${half('%ef%bc%85')(size)}${half('%ef%bc%85%25ef%25bc%2585')(size)}`,
  'escapes of full-width digits': repeated('%25%ef%bc%94%ef%bc%91'),
  'escapes that superscripts end, nested': (size) => `${half('%ef%b7%ba')(size)}${half('%254%c2%b2')(size)}`,
  'ligatures of 18 letters': repeated('%ef%b7%ba'),
  'ligatures of three letters': repeated('%ef%ac%83'),
  'Hangul syllables': repeated('%ea%b0%80'),
  'Hangul letters': repeated('%e1%84%80%e1%85%a1%e1%86%a8'),
  'letters that grow in lower case': repeated('%c4%b0'),
  'letters that grow in upper case': repeated('%e1%be%b7'),
  'final sigmas': repeated('%ce%a3%c2%b7%ca%b0'),
  'letters of plane 1': repeated('%f0%9d%90%80'),
  'bytes that are no text': repeated('%ff'),
  'overlong dots': repeated('%c0%ae'),
  'invisible characters': repeated('%c2%ad'),
  'escapes of escapes': repeated('%25'),
  'an escape of an escape of an escape': (size) => `%${repeated('25')(size)}2e`,
  'one long segment': repeated('x'),
  'one long segment of dots': repeated('x.'),
  'long segments of dots': (size) => repeated(`${'x.'.repeat(500)}/`)(size),
  'many segments': repeated('a/'),
  'empty segments': repeated('/'),
  'spaces before dots': repeated('.%20%20%20'),
  'a space in the middle': (size) => `a${repeated('%20')(size)}a`,
  'many cuts': repeated(';/'),
  sessions: repeated('(S(x))/'),
  'sessions that do not end': repeated('(S(x)'),
  'one session that does not end': (size) => `(${repeated('a(b)')(size)}`,
  'the words of routes': repeated('a/b/c/d/e/f/g/h/i/j/'),
  'the words of routes, after scripts': repeated('a./b./c./d./e./f./g./h./i./j./'),
  tenants: (size) => `tenants/${repeated(Array.from({ length: 1_000 }, (_, at) => `t${at}/`).join(''))(size)}/hooks`,
};

test.each(TRIED)('with %s no admission costs more than eight times as much', (name, routes) => {
  const costly: string[] = [];
  for (const [size, before] of READ_AT.slice(0, name === 'one route' ? 2 : 1)) {
    const limit = limitOf(size, routes);
    for (const [name, shape] of Object.entries(SHAPES)) {
      const path = `/${before}${shape(size - before.length - 1)}`;
      const times = timesOf(path, routes, limit);
      if (times > 8) costly.push(`${size} bytes of ${name} after "${before}": ${times.toFixed(1)} times`);
    }
  }
  expect(costly).toEqual([]);
});

const pieces = fc.constantFrom(
  ...split('a b notify x. / // / . .. ; (S(x)) ( a(b) %20 %2f %5c %3b %25'),
  ...[ACUTE, DOT_BELOW, '%cc%b4', '%cd%85', '%cd%84', VOICED, '%f0%9d%85%a5', '%25cc%2581', '%c0%a5cc%81'],
  ...['%c2%ad', '%e2%80%8b', '%c0%ae', '%e0%80%af', '%ff', '%ef%bc', '%85', '%ef%bc%85', '%ef%bc%94', '%c2%b2', '%254'],
  ...['%ef%b7%ba', '%ef%ac%83', '%ea%b0%80', '%e1%84%80', '%e1%85%a1', '%e1%be%b7', '%ce%a3', '%ef%bc%8f', '%e2%84%80'],
);
/** A few pieces, each up to 40 times. */
const unit = fc
  .array(fc.tuple(pieces, fc.constantFrom(1, 1, 1, 2, 13, 30, 40)), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.map(([piece, times]) => piece.repeat(times)).join(''));
const target = fc
  .tuple(unit, fc.constantFrom('', ALL_READINGS), unit)
  .map(([one, before, other]) => `/${before}${half(one)(SIZE)}${half(other)(SIZE - 2 * before.length - 2)}`);

test('no target that chance makes does either', () => {
  const limits = [ONE, OF_TEN_WORDS].map((routes) => ({ routes, limit: limitOf(SIZE, routes) }));
  assertSome(
    fc.property(target, fc.constantFrom(...limits), (target, { routes, limit }) => {
      const times = timesOf(target, routes, limit);
      if (times > 8) expect.fail(`${times} times as much: ${target.slice(0, 200)} … ${target.slice(-200)}`);
    }),
    1,
  );
});
