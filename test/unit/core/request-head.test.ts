// What is read from a head.
import { describe, expect, test } from 'vitest';
import { declaredLength, hasBody, pathOf } from '../../../src/core/request-head.ts';
import { head } from './fixtures.ts';

const withLines = (...lines: string[]) => head({ lines: ['Host', 'a', ...lines] });

test('the path of a target ends at its first question mark', () => {
  expect(pathOf('/a?b?c')).toBe('/a');
  expect(pathOf('/a')).toBe('/a');
  expect(pathOf('/a%3Fb?')).toBe('/a%3Fb');
  for (const target of ['/a#b', '/a#b?c', '/a?b#c', '/a#']) expect([target, pathOf(target)]).toEqual([target, '/a']);
});

describe('reading a head', () => {
  test('names are read in any case, and counted', () => {
    const read = withLines('HOST', 'b', 'CONTENT-length', '3', 'content-Length', '4', 'transfer-ENCODING', 'chunked');
    expect(read).toMatchObject({ hosts: 2, host: 'b', contentLengths: 2, contentLength: '4', transferEncodings: 1 });
  });

  test('signatures and their look-alikes are counted apart', () => {
    const read = withLines(
      'entrupy-SIGNATURE',
      'a',
      'Entrupy.Signature',
      'b',
      'Entrupy_Signature',
      'c',
      'X-Entrupy-Signature',
      'd',
    );
    expect(read).toMatchObject({ signatures: 1, signature: 'a', lookAlikes: 2, rerouting: ['entrupy_signature'] });
    expect(withLines('Entrupy-Signature', 'a', 'Entrupy-Signature', 'a').signatures).toBe(2);
    expect(withLines()).toMatchObject({ signatures: 0, signature: '', lookAlikes: 0, rerouting: [] });
  });

  test('whether a body follows, and how long', () => {
    const of = (...lines: string[]) => [hasBody(withLines(...lines)), declaredLength(withLines(...lines))];
    expect(of()).toEqual([false, 0]);
    expect(of('Content-Length', '0')).toEqual([false, 0]);
    expect(of('Content-Length', '12')).toEqual([true, 12]);
    expect(of('Transfer-Encoding', 'chunked')).toEqual([true, null]);
  });
});
