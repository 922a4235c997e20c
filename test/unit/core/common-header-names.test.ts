import { describe, expect, test } from 'vitest';
import { lowerCaseName, nameIn } from '../../../src/core/header-lines.ts';

const NAMES = [
  'Host',
  'host',
  'HOST',
  'hOsT',
  'Content-Type',
  'content-type',
  'CONTENT-TYPE',
  'X-Unheard-Of',
  'x_y',
  '',
];
const AROUND = ['', 'x', 'Content-', '\r\n'];

describe('a name in a text', () => {
  test.each(NAMES)('%j is what stands there, in its own spelling', (name) => {
    for (const before of AROUND)
      for (const after of AROUND)
        expect(nameIn(before + name + after, before.length, before.length + name.length)).toBe(name);
  });

  test('a longer or shorter name than a common one stays what it is', () => {
    expect(nameIn('Content-Types', 0, 13)).toBe('Content-Types');
    expect(nameIn('Content-Type', 0, 11)).toBe('Content-Typ');
  });

  test.each(NAMES)('%j has the lower case that String gives it', (name) => {
    expect(lowerCaseName(name)).toBe(name.toLowerCase());
  });
});
