// What counts as a secret: an opaque UTF-8 string.
import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyFromFileContent, keyFromValue } from '../../../src/secrets/key-from-value.ts';

const VALUE = 'a-secret-of-thirty-two-bytes-ok!';
const RULES = { allowShort: false };

function keyOf(text: string) {
  return createSecretKey(Buffer.from(text));
}

describe('a file', () => {
  test.each([
    ['no line break', VALUE, VALUE],
    ['one LF is stripped', `${VALUE}\n`, VALUE],
    ['one CRLF is stripped', `${VALUE}\r\n`, VALUE],
    ['only one of two LF', `${VALUE}\n\n`, `${VALUE}\n`],
    ['a lone CR stays', `${VALUE}\r`, `${VALUE}\r`],
    ['trailing blanks stay', `${VALUE}  \n`, `${VALUE}  `],
    ['base64 text is not decoded', `${'QUJD'.repeat(9)}=\n`, `${'QUJD'.repeat(9)}=`],
    ['non-ASCII text', `gëheim-🔑-${VALUE}\n`, `gëheim-🔑-${VALUE}`],
  ])('%s', (_, content, value) => {
    const { key } = keyFromFileContent(Buffer.from(content), RULES);
    expect(key?.equals(keyOf(value))).toBe(true);
  });

  test.each(['', '\n', '\r\n'])('of %j is empty, even if short ones are allowed', (content) => {
    const reading = keyFromFileContent(Buffer.from(content), { allowShort: true });
    expect(reading).toEqual({ key: null, problem: 'it is empty', warnings: [] });
  });
});

describe('a value', () => {
  test.each([
    [15, 'refused'],
    [16, 'warned'],
    [31, 'warned'],
    [32, 'fine'],
    [64 * 1024, 'fine'],
    [64 * 1024 + 1, 'refused'],
  ])('of %i bytes is %s', (length, outcome) => {
    const reading = keyFromValue(Buffer.alloc(length, 'x'), RULES);
    const warned = reading.warnings.length > 0 ? 'warned' : 'fine';
    expect(reading.key === null ? 'refused' : warned).toBe(outcome);
  });

  test('counts bytes, not characters; a short one is accepted if allowed, with a warning', () => {
    expect(keyFromValue(Buffer.from('🔑🔑🔑🔑'), RULES).problem).toBeNull();
    const { key, warnings } = keyFromValue(Buffer.from('x'), { allowShort: true });
    expect(key?.equals(keyOf('x'))).toBe(true);
    expect(warnings).toEqual(['it is shorter than 16 bytes and too easy to guess']);
  });

  test('that is not UTF-8 is refused', () => {
    const { problem } = keyFromValue(Buffer.alloc(40, 0xe9), RULES);
    expect(problem).toBe('it is not valid UTF-8: a secret is text, used as it is and never decoded');
  });

  test.each([
    [` ${VALUE}`, 'begins with white space'],
    [`${VALUE}\n`, 'ends with white space or a line break, which is kept as part of the secret'],
    [`\ufeff${VALUE}`, 'byte order mark'],
    [`"${VALUE}"`, 'enclosed in quotes'],
    ['changeme-0123456789-0123456789-0123456789', 'placeholder'],
    ['the-secret-that-you-gave-to-entrupy', 'placeholder'],
  ])('%j is used unchanged, with a warning', (value, warning) => {
    const { key, warnings } = keyFromValue(Buffer.from(value), RULES);
    expect(key?.equals(keyOf(value))).toBe(true);
    expect(warnings).toEqual([expect.stringContaining(warning)]);
  });

  test('survives when the caller overwrites the bytes', () => {
    const bytes = Buffer.from(VALUE);
    const { key } = keyFromValue(bytes, RULES);
    bytes.fill(0);
    expect(key?.equals(keyOf(VALUE))).toBe(true);
  });
});
