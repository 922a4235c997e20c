// The paths that a server could read a target as. Premise: servers decode, fold, cut and drop path segments, but never
// invent any. Theorem: if any such reading of a target matches a verify or reject route, `RoutePaths` finds it.
import type { Folded } from './fold-path.ts';

/** A configured path: exact, or with everything below it if it ends in `/*`. */
export interface PathPattern {
  readonly wildcard: boolean;
  /** The path without `/*`. */
  readonly stem: string;
  /** The segments of the stem, as text and as bytes. */
  readonly views: readonly (readonly string[])[];
}

type ReadingKind = 'prefix' | 'in order';

// --- one pass over the target's segments finds the readings of all routes: with 1,000 routes, a search for each took
// 140 ms for 16 KiB of short segments, where this takes 8

/** Sequences of words, or of the pieces of words, as a tree. `ends`: what ends here. */
class Tree<T> {
  readonly next = new Map<string, Tree<T>>();
  readonly ends: T[] = [];

  add(steps: readonly string[], end: T): void {
    const { ends } = steps.reduce((place: Tree<T>, step) => place.#below(step), this);
    if (!ends.includes(end)) ends.push(end);
  }

  #below(step: string): Tree<T> {
    const below = this.next.get(step) ?? new Tree<T>();
    this.next.set(step, below);
    return below;
  }
}

/** The pieces of a segment: names, and each character between them. A word ends where a piece does. */
const PIECES = /[A-Za-z0-9_-]+|[^A-Za-z0-9_-]/g;

/** The paths of verify and reject routes, to be searched for in targets. */
export class RoutePaths {
  /** The routes by their words, which are folded segments. */
  readonly #routes = new Tree<PathPattern>();
  readonly #words = new Tree<string>();
  /** Routes to `/`, which has no segments. */
  readonly #toRoot: readonly PathPattern[];

  constructor(patterns: readonly PathPattern[]) {
    const isRoot = ({ wildcard, views }: PathPattern) => !wildcard && views.some(({ length }) => length === 0);
    this.#toRoot = patterns.filter(isRoot);
    for (const pattern of patterns.filter((each) => !isRoot(each))) {
      for (const words of pattern.views) {
        this.#routes.add(words, pattern);
        for (const word of words) this.#words.add(word.match(PIECES) ?? [], word);
      }
    }
  }

  /** The routes as whose path a server could read the target, and how. */
  readingsIn({ readings, marks, kept, climbs }: Folded): ReadonlyMap<PathPattern, ReadingKind> {
    const views = readings.flat();
    const kinds = new Map<PathPattern, ReadingKind>();
    for (const segments of views) {
      const words = segments.map((segment) => this.#wordsOf(segment));
      if (marks.length > 0) this.#readInOrder(words, kinds);
      this.#readFromStart(segments, words, kinds);
    }
    // A target can be read as `/` if it is cut to nothing (`/;x/y`) or climbs (`/x/..`).
    const isRoot = views.some(({ length }) => length === 0);
    if (isRoot || kept === 0 || climbs)
      for (const route of this.#toRoot) kinds.set(route, isRoot ? 'prefix' : 'in order');
    return kinds;
  }

  /** The words that the segment is, or begins with before a character that ends a name (`notify.json`, `notify:x`). */
  #wordsOf(segment: string): readonly string[] {
    let words = NO_WORDS;
    let place: Tree<string> | undefined = this.#words;
    for (let [start, end] = [0, 0]; start < segment.length; start = end) {
      end = endOfPiece(segment, start);
      place = place.next.get(segment.slice(start, end));
      if (place === undefined) break;
      if (place.ends.length === 0 || isOfName(segment.charCodeAt(end))) continue;
      words = words === NO_WORDS ? place.ends : [...words, ...place.ends];
    }
    return words;
  }

  /** Adds the routes whose words match segments in a row, at the start or after a script (`/index.php/notify`). */
  #readFromStart(segments: readonly string[], words: FoundWords, kinds: Map<PathPattern, ReadingKind>): void {
    let places = [this.#routes];
    for (const route of this.#routes.ends) kinds.set(route, 'prefix');
    for (let at = 0; at < segments.length; at++) {
      const next = segments[at]?.includes('.') ? [this.#routes] : [];
      for (const place of places) {
        for (const word of words[at] ?? NO_WORDS) {
          const reached = place.next.get(word);
          if (reached === undefined) continue;
          for (const route of reached.ends) kinds.set(route, 'prefix');
          next.push(reached);
        }
      }
      places = next;
    }
  }

  /** Adds the routes whose words match segments in the order of the words, with or without others between. */
  #readInOrder(words: FoundWords, kinds: Map<PathPattern, ReadingKind>): void {
    /** By word, the places that it leads to from those that are reached. Each place is reached once. */
    const awaited = new Map<string, Tree<PathPattern>[]>();
    const reach = (place: Tree<PathPattern>) => {
      for (const route of place.ends) if (!kinds.has(route)) kinds.set(route, 'in order');
      for (const [word, next] of place.next) {
        const others = awaited.get(word);
        if (others === undefined) awaited.set(word, [next]);
        else others.push(next);
      }
    };
    reach(this.#routes);
    for (const alike of words) {
      if (alike.length === 0) continue;
      // Plain loops: with `flatMap` a target of many words took a third longer.
      const reached: Tree<PathPattern>[] = [];
      for (const word of alike) {
        const places = awaited.get(word);
        if (places === undefined) continue;
        reached.push(...places);
        awaited.delete(word);
      }
      for (const place of reached) reach(place);
    }
  }
}

/** For each segment, the words that it could be. */
type FoundWords = readonly (readonly string[])[];
const NO_WORDS: readonly string[] = [];

/** The end of the piece that begins at `start`: see `PIECES`. */
function endOfPiece(text: string, start: number): number {
  let end = start;
  while (isOfName(text.charCodeAt(end))) end++;
  return Math.max(end, start + 1);
}

/** True for `[A-Za-z0-9_-]`. */
function isOfName(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
}
