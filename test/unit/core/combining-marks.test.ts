// What core/fold-path.ts says of Unicode, checked against the Unicode of this Node, code point by code point.
import { expect, test } from 'vitest';
import { isNonStarter } from '../../../src/core/fold-path.ts';

const partsOf = (text: string) => Array.from(text.normalize('NFKD'), isNonStarter);

const leading = (parts: readonly boolean[]) => [...parts, false].indexOf(false);
const trailing = (parts: readonly boolean[]) => parts.length - 1 - parts.lastIndexOf(false);

test('combining classes decide, not categories', () => {
  // Marks of class 230, 220, 240, 9, 8, 224 and 216, the last two spacing ones; Adlam's in plane 1.
  for (const mark of '\u0301\u0323\u0345\u094d\u3099\u302e\u{1d165}\u{1e944}')
    expect([mark, isNonStarter(mark)]).toEqual([mark, true]);
  // Letters; marks of class 0: spacing, enclosing, the grapheme joiner, a variation selector; a Hangul vowel.
  for (const other of 'ae\u0903\u093e\u20dd\u034f\ufe0f\u1161')
    expect([other, isNonStarter(other)]).toEqual([other, false]);
});

test('of all code points only marks and two more continue a run, and case mapping makes none longer', () => {
  // Planes 4 to 13 are unassigned, 15 and 16 for private use.
  for (let point = 0; point <= 0xeffff; point = point === 0x3ffff ? 0xe0000 : point + 1) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    const character = String.fromCodePoint(point);
    const parts = partsOf(character);
    const isSuspect = /[\p{M}\uff9e\uff9f]/u.test(character);
    if (isSuspect ? parts.filter(Boolean).length > 2 : parts[0] || trailing(parts) > 3) {
      expect.fail(`U+${point.toString(16)} decomposes to ${parts}`);
    }
    const mapped = partsOf(character.normalize('NFKC').toLowerCase().toUpperCase());
    if (leading(mapped) > leading(parts) || trailing(mapped) > trailing(parts)) {
      expect.fail(`U+${point.toString(16)} is mapped to ${mapped}`);
    }
  }
});
