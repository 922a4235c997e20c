// Folding must never fold less than a server does, and must not take time quadratic in the path's length.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admit } from '../../../src/core/admission.ts';
import { decodeFully, foldPath } from '../../../src/core/fold-path.ts';
import { claimed, forward, head, NOW, policyOf, split, table } from './fixtures.ts';

const decoded = (text: string) => decodeFully(Buffer.from(text, 'latin1')).toString('latin1');
const folded = (path: string) => foldPath(path) ?? expect.fail(`${path} is not folded`);
const text = (path: string) => folded(path).readings[0]?.[0] ?? [];
const bytes = (path: string) => folded(path).readings[0]?.at(-1);

/** The reference way: pass after pass until nothing changes. */
function decodedByPasses(text: string): string {
  const next = text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return next === text ? text : decodedByPasses(next);
}

test('decoding in one pass gives the same as pass after pass', () => {
  const signs = fc.constantFrom('%', '%', '25', '%25', 'g', '/', '\xff');
  const digit = fc.constantFrom(...'2256eE09aAfF');
  fc.assert(
    fc.property(fc.array(fc.oneof(signs, digit), { maxLength: 30 }), (parts) => {
      expect(decoded(parts.join(''))).toBe(decodedByPasses(parts.join('')));
    }),
    { numRuns: 2_000, examples: ['%25252525256e', '%%36e', '%25%36%65', '%2%35%36e'].map((text) => [[text]]) },
  );
});

describe('letters', () => {
  test('the last letter of a Greek name folds the same, whatever follows', () => {
    const [name] = text(`/${encodeURIComponent('ΟΔΟΣ')}`);
    for (const end of ['', ';x', '%23', '/x', '%3f']) {
      expect(text(`/${encodeURIComponent('ΟΔΟΣ')}${end}`)[0]).toBe(name);
      expect(text(`/${encodeURIComponent('οδος')}${end}`)[0]).toBe(name);
    }
    for (const end of ['.json', ':x']) expect(text(`/${encodeURIComponent('ΟΔΟΣ')}${end}`)[0]).toBe(name + end);
  });

  test('each code point folds to the same text in any order of NFKC, lower and upper case', () => {
    // Planes 4 to 13 are unassigned, 15 and 16 for private use: nothing maps them.
    for (let point = 0x80; point <= 0xeffff; point = point === 0x3ffff ? 0xe0000 : point + 1) {
      const surrogate = point >= 0xd800 && point <= 0xdfff;
      if (!surrogate) for (const shape of shapesOf(point)) expectSameFold(shape, String.fromCodePoint(point));
    }
  });
});

/** Everything that a server can turn a character into, except the character itself. */
function shapesOf(point: number): string[] {
  const shapes = new Set([String.fromCodePoint(point)]);
  for (const shape of shapes) shapes.add(shape.normalize('NFKC')).add(shape.toLowerCase()).add(shape.toUpperCase());
  return [...shapes].slice(1);
}

// No `expect` for each: there are a million of them.
function expectSameFold(a: string, b: string): void {
  const fold = (text: string) =>
    foldPath(Buffer.from(`/${text}`, 'utf8').toString('latin1'))?.readings[0]?.[0]?.join('/');
  if (/[﹪％]/.test(b) ? fold(b) !== undefined : fold(a) !== fold(b))
    expect.fail(`${a} folds to ${fold(a)}, ${b} to ${fold(b)}`);
}

describe('segments', () => {
  test.each([
    ['//a///b/', ['a', 'b']],
    ['/a\\b%5Cc%2fd', ['a', 'b', 'c', 'd']],
    ['/a;x/b%3by/c%3fz/d%23', ['a', 'b', 'c', 'd']],
    ['/a./b%20/c.%20./d%250a/e%7f', ['a', 'b', 'c', 'd', 'e']],
    ['/./%2e/../%20/;x/...', []],
    ['/%20a/%2509%20b%20/%7fc', ['a', 'b', 'c']],
    ['/.a/b.c/..d', ['.a', 'b.c', '..d']],
    ['/a b/c', ['a b', 'c']],
  ])('%s', (path, wanted) => {
    expect(folded(path).readings).toEqual([[wanted]]);
  });

  test('bytes that are not UTF-8 are data, and stay distinct in the byte view', () => {
    expect(folded('/a%FFB').readings).toEqual([[['a\ufffdb'], ['a\xffb']]]);
    expect(bytes('/%C0%AFa')).toEqual(['\xc0\xafa']);
  });

  const LENIENT = 'an invisible character, or an overlong form of an ASCII one';
  /** What lenient servers read, and the marks that tell of it. */
  const lenient = (path: string) => {
    const { readings, marks } = folded(path);
    return [...readings.slice(1).map(([text]) => text?.join('/')), ...marks];
  };

  test('each ASCII character is also read from its overlong forms, which are marks, and nothing else is', () => {
    for (let code = 0; code < 0x80; code++) {
      const [high, low] = [code >> 6, 0x80 | (code & 63)];
      for (const bytes of [
        [0xc0 | high, low],
        [0xe0, 0x80 | high, low],
        [0xf0, 0x80, 0x80 | high, low],
      ]) {
        const plain = text(`/x${String.fromCharCode(code)}y`).join('/');
        expect([bytes, lenient(`/x${String.fromCharCode(...bytes)}y`)]).toEqual([bytes, [plain, LENIENT]]);
      }
    }
    const others = split('\xc0 \xc0a \xc2\x80 \xe0\xa0\x80 \xe0\x82\x80 \xf0\x90\x80\x80 \xf0\x80\x82\x80');
    for (const other of [...others, '\xf0\x81\x80\x80', '\x80\x80', '\xef\x80\x80', '\xe0\xc0\xff']) {
      expect([other, lenient(`/x${other}y`)]).toEqual([other, []]);
    }
  });

  test('invisible characters are also read as nothing, and are marks', () => {
    for (const point of [0xad, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2060, 0xfeff]) {
      const hidden = encodeURIComponent(String.fromCharCode(point));
      expect([point, lenient(`/a${hidden}b`)]).toEqual([point, ['ab', LENIENT]]);
    }
    for (const point of [0xac, 0xae, 0x200a, 0x2010, 0x205f, 0x2061, 0xfefe, 0xff00]) {
      expect([point, lenient(`/a${encodeURIComponent(String.fromCharCode(point))}b`)]).toEqual([point, []]);
    }
  });

  test('each combination of the two is a reading', () => {
    expect(lenient('/a%C1%A2%C2%ADc')).toEqual(['ab\xadc', 'a\ufffd\ufffdc', 'abc', LENIENT]);
    expect(lenient('/%C0%A52%C2%AD5')).toEqual(['%2\xad5', '\ufffd\ufffd25', '%', LENIENT]);
  });

  test('non-ASCII upper case is kept in the byte view', () => {
    expect(bytes('/%C3%89')).toEqual(['\xc3\x89']);
  });
});

describe('a path may hide', () => {
  test('a climb', () => {
    const plain = '.. %2e%2e ..;x ..%20 ... %252e. .%01. %20.. ..%C2%A0 ..:x';
    const lenient = '%E2%80%A5 %c0%ae%c0%ae .%E0%80%AE %f0%80%80%ae. .%C2%AD. ..%E2%80%8B %EF%BB%BF..';
    const climbs = split(`${plain} ${lenient}`);
    for (const up of climbs) expect([up, folded(`/a/${up}/b`).climbs]).toEqual([up, true]);
    for (const up of climbs) expect([up, folded(`/a%5C${up}`).climbs]).toEqual([up, true]);
    for (const name of ['.', 'a..', '..a', '.a.', 'a..b', '.-.', '..-', '.well-known', '.%20']) {
      expect([name, folded(`/a/${name}/b`).climbs]).toEqual([name, false]);
    }
  });

  test('a separator, a cut or an escape in a compatibility form', () => {
    const isDisguised = (path: string) =>
      folded(path).marks.includes('a character that folds to one that splits or cuts');
    for (const character of ['／', '＼', '；', '？', '＃', '．', '‥', '\u037e', '℀', '⒈']) {
      expect([character, isDisguised(`/a${encodeURIComponent(character)}b`)]).toEqual([character, true]);
    }
    for (const path of ['/a/b.c;d', '/a%2Fb%3B', '/caf%C3%A9', '/%EF%BD%81', '/%FF']) {
      expect([path, isDisguised(path)]).toEqual([path, false]);
    }
  });

  test('what is left when the whole path is cut', () => {
    expect(folded('/a/b/c').kept).toBe(3);
    expect(folded('/a/b;x/c').kept).toBe(2);
    expect(folded('/a/%3fb/c').kept).toBe(1);
    expect(folded(`/a/b${encodeURIComponent('；')}/c`).kept).toBe(2);
    expect(folded('/a/b%c0%bb/c').kept).toBe(2);
    expect(folded('/a/%C2%AD/c').kept).toBe(2);
  });
});

const [ACUTE, DOT_BELOW, VOICED] = ['%CC%81', '%cc%a3', '%ef%be%9e'];

describe('a path is not folded', () => {
  test.each([
    ['31 accents in a row', `/e${ACUTE.repeat(31)}`, `/e${ACUTE.repeat(30)}`],
    ['a letter with an accent, and 30 more', `/%C3%A9${ACUTE.repeat(30)}`, `/%C3%A9${ACUTE.repeat(29)}`],
    ['characters that NFKC makes marks', `/${ACUTE.repeat(16)}${VOICED.repeat(15)}`, `/${VOICED.repeat(30)}`],
    ['characters that are two marks', `/${'%CD%84'.repeat(16)}`, `/${'%CD%84'.repeat(15)}`],
    ['a letter of three marks, and 14 of two', `/%E1%BE%82${'%CD%84'.repeat(14)}`, `/%E1%BE%82${'%CD%84'.repeat(13)}`],
    [
      '31 accents, parted by no mark',
      `/%E0%A4%83${ACUTE.repeat(31)}`,
      `/${ACUTE.repeat(16)}%E0%A4%83${ACUTE.repeat(15)}`,
    ],
    ['marks of plane 1', `/${'%F0%9D%85%A5'.repeat(31)}`, `/${'%F0%9D%85%A5'.repeat(30)}`],
    [
      'accents that meet where invisible characters are dropped',
      `/${ACUTE.repeat(16)}%E2%80%8B${DOT_BELOW.repeat(15)}`,
      `/${ACUTE.repeat(16)}%E2%80%8Ba${DOT_BELOW.repeat(15)}`,
    ],
    ['accents that are encoded twice', `/${'%25CC%2581'.repeat(31)}`, `/${'%25CC%2581'.repeat(30)}`],
    [
      'accents that an encoded slash does not part',
      `/${ACUTE.repeat(31)}%2F`,
      `/${ACUTE.repeat(20)}%2F${ACUTE.repeat(20)}`,
    ],
    ['a full-width percent sign', '/%EF%BC%854biosk', '/%254biosk'],
    ['an escape of a ligature', '/%25%EF%AC%80', '/%25%EF%AC%81'],
  ])('for %s', (_name, refused, near) => {
    expect(foldPath(refused)).toBeNull();
    expect(foldPath(near)).not.toBeNull();
  });

  test('nor does any route take it, whatever the others are, and the rule is `path`', () => {
    for (const unmatched of ['forward', 'verify', 'reject'] as const) {
      expect(claimed([forward('/*')], `/e${ACUTE.repeat(31)}`, unmatched)).toBe('refused');
      expect(claimed([], '/%EF%BC%85', unmatched)).toBe('refused');
    }
    const policy = { ...policyOf([forward('/*')], []), routes: table([forward('/*')]) };
    const admission = admit({ head: head({ target: '/%EF%BC%85' }), policy, at: NOW });
    expect(admission).toMatchObject({ kind: 'refuse', reason: 'bad_request', rule: 'path', routePath: 'unmatched' });
  });
});
