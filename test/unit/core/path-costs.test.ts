// What a target costs grows with its bytes alone, whatever they are: at most eight times the CPU time of as many bytes of
// `%c3%a9`, alone and with a thousand routes. Whatever is quadratic costs 40 times as much at 64 KiB.
import { expect, test } from 'vitest';
import { admit } from '../../../src/core/admission.ts';
import type { RouteTable } from '../../../src/core/routes.ts';
import { leastCpu } from '../../support/machine/cpu-time.ts';
import { head, NOW, policyOf, table, verify } from './fixtures.ts';

const KIB = 1024;

const WORDS = [...'abcdefghij'];
const thousand = (path: (index: number) => string) =>
  table(Array.from({ length: 1_000 }, (_, index) => verify(path(index))));
const TABLES = {
  'one route': table([verify('/notify')]),
  'a thousand tenants': thousand((index) => `/tenants/t${index}/hooks`),
  'a thousand of ten words': thousand((index) =>
    [...`${index}`.padStart(3, '0')].map((at) => `/${WORDS[Number(at)]}`).join(''),
  ),
  'a thousand lengths': thousand((index) => `/${'x.'.repeat((index % 500) + 1)}y${index < 500 ? '' : 'z'}`),
} satisfies Record<string, RouteTable>;

/** Few bytes that make each reading of a target another one, so that all of it is read eight times. */
const ALL_READINGS = '%c3%a9%ef%bc%a1%c2%ad%c0%ae/';

/** `unit`, over and over. */
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

test.each(Object.entries(TABLES))('with %s no admission costs more than eight times as much', (name, routes) => {
  const policy = { ...policyOf([], []), routes };
  const admission = (target: string) => {
    const arrival = { head: head({ target }), policy, at: NOW };
    return () => admit(arrival);
  };
  const costly: string[] = [];
  for (const size of name === 'one route' ? [16 * KIB, 64 * KIB] : [16 * KIB]) {
    const letters = admission(`/${repeated('%c3%a9')(size)}`);
    leastCpu(letters);
    const limit = 8 * leastCpu(letters);
    for (const [name, shape] of Object.entries(SHAPES)) {
      for (const before of ['', ALL_READINGS]) {
        const path = `/${before}${shape(size - before.length - 1)}`;
        const times = leastCpu(admission(path), limit) / limit;
        if (times > 1) costly.push(`${size} bytes of ${name} after "${before}": ${(8 * times).toFixed(1)} times`);
      }
    }
  }
  expect(costly).toEqual([]);
});
