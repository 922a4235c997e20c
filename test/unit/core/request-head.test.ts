// What is read from a head.
import { expect, test } from 'vitest';
import { declaredLength, hasBody, pathOf } from '../../../src/core/request-head.ts';
import { head } from './fixtures.ts';

const withLines = (...lines: string[]) => head({ lines: ['Host', 'a', ...lines] });

test('the path of a target ends at its first question mark, or at a fragment', () => {
  expect(['/a?b?c', '/a', '/a#b', '/a#b?c', '/a?b#c', '/a#'].map(pathOf)).toEqual(Array(6).fill('/a'));
  expect(pathOf('/a%3Fb?')).toBe('/a%3Fb');
});

test('names are read in any case and counted, signatures and their look-alikes apart', () => {
  const framing = withLines('HOST', 'b', 'CONTENT-length', '3', 'content-Length', '4', 'transfer-ENCODING', 'chunked');
  expect(framing).toMatchObject({ hosts: 2, host: 'b', contentLengths: 2, contentLength: '4', transferEncodings: 1 });
  const alike = ['Entrupy.Signature', 'b', 'Entrupy_Signature', 'c', 'X-Entrupy-Signature', 'd'];
  const found = { signature: 'a', lookAlikes: 2, rerouting: ['entrupy_signature'] };
  expect(withLines('entrupy-SIGNATURE', 'a', ...alike)).toMatchObject({ signatures: 1, ...found });
  expect(withLines('Entrupy-Signature', 'a', 'Entrupy-Signature', 'a').signatures).toBe(2);
});

test.each([
  [[], false, 0],
  [['Content-Length', '0'], false, 0],
  [['Content-Length', '12'], true, 12],
  [['Transfer-Encoding', 'chunked'], true, null],
])('whether a body follows %j, and how long', (lines, follows, length) => {
  expect([hasBody(withLines(...lines)), declaredLength(withLines(...lines))]).toEqual([follows, length]);
});
