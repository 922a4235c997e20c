// core/path-readings.ts finds all routes at once. Here each rule is restated for one route at a time, as in its
// description, and both must agree.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Folded } from '../../src/core/fold-path.ts';
import { RoutePaths } from '../../src/core/path-readings.ts';
import { assertSome } from './time-box.ts';

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

/** A target with a mark, in two readings of two views each. */
const target = fc.tuple(segments, segments, segments, segments).map(
  ([text, bytes, ...other]): Folded => ({
    path: '',
    readings: [[text, bytes], other],
    marks: ['a mark'],
    kept: 1,
    climbs: false,
  }),
);

test('routes are found exactly where the rule for one route finds them', () => {
  assertSome(
    fc.property(target, routes, (target, routes) => {
      const patterns = routes.map((words) => ({ wildcard: true, stem: '', views: [words] }));
      const views = target.readings.flat();
      const reads = (words: readonly string[]) => {
        if (views.some((view) => beginsSomewhere(view, words))) return 'prefix';
        return views.some((view) => inOrder(view, words)) ? 'in order' : undefined;
      };
      const found = new RoutePaths(patterns).readingsIn(target);
      expect(patterns.map((pattern) => found.get(pattern))).toEqual(routes.map(reads));
      const plain = new RoutePaths(patterns).readingsIn({ ...target, marks: [] });
      expect(patterns.map((pattern) => plain.get(pattern))).toEqual(
        routes.map((words) => (reads(words) === 'prefix' ? 'prefix' : undefined)),
      );
    }),
    1,
  );
});
