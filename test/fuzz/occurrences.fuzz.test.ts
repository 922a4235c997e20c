// core/path-readings.ts finds the words of all routes at once. Here each rule is restated for one route at a time, as in
// its description, and both must agree.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { beginsWith, occursInOrder, segmentMatches, Words } from '../../src/core/path-readings.ts';
import { TEST_TIMEOUT, timeBox } from './time-box.ts';

// Few letters, so words are prefixes of words and segments end inside them.
const word = fc.stringMatching(/^[ab.é-]{1,3}$/);
const words = fc.array(word, { maxLength: 4 });
const segments = fc.array(fc.stringMatching(/^[ab.é:_-]{1,5}$/), { maxLength: 12 });
const routes = fc.array(words, { minLength: 1, maxLength: 5 });

/** Equal, or followed by a character outside [A-Za-z0-9_-]. */
const matches = (segment: string, wanted: string) =>
  segment === wanted || (segment.startsWith(wanted) && /^[^A-Za-z0-9_-]/.test(segment.slice(wanted.length)));

function beginsSomewhere(segments: readonly string[], wanted: readonly string[]): boolean {
  const starts = [0, ...segments.flatMap((segment, at) => (segment.includes('.') ? [at + 1] : []))];
  return starts.some((start) => wanted.every((word, at) => matches(segments[start + at] ?? '', word)));
}

function inOrder(segments: readonly string[], wanted: readonly string[]): boolean {
  const [word, ...rest] = wanted;
  if (word === undefined) return true;
  const at = segments.findIndex((segment) => matches(segment, word));
  return at >= 0 && inOrder(segments.slice(at + 1), rest);
}

test('words are found exactly where the rule for one route finds them', { timeout: TEST_TIMEOUT }, () => {
  fc.assert(
    fc.property(segments, routes, (segments, routes) => {
      const found = new Words(routes.flat()).findAmong(segments);
      for (const route of routes) {
        expect(beginsWith(route, found)).toBe(beginsSomewhere(segments, route));
        expect(occursInOrder(route, found)).toBe(inOrder(segments, route));
      }
      for (const segment of segments) {
        for (const word of routes.flat()) expect(segmentMatches(segment, word)).toBe(matches(segment, word));
      }
    }),
    timeBox(1),
  );
});
