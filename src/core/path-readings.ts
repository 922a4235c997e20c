// The paths that a server could read a target as. Premise: servers decode, fold, cut and drop path segments, but never
// invent any. Theorem: if any such reading of a target matches a verify or reject route, `couldBeRead` finds it.
import { type Folded, foldPath, viewsOf } from './fold-path.ts';

const DOT_SEGMENT = 'a dot segment';

const MARKS: readonly (readonly [RegExp, string])[] = [
  [/\/\//, 'an empty segment'],
  [/\/\.{1,2}(?:\/|$)/, DOT_SEGMENT],
  [/%(?:4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae]|3[0-9]|2[de])/i, 'an encoded unreserved character'],
  [/%(?:2f|5c|25|3f|23)/i, 'an encoded / \\ % ? or #'],
  [/;|%3b/i, 'a path parameter'],
];

/** A target's path, folded. `marks`: the causes of the target's ambiguity; empty for a plain one. */
export interface Target extends Folded {
  readonly path: string;
}

/** Null: the path cannot be folded, and no route may take it. */
export function examinePath(path: string): Target | null {
  const folded = foldPath(path);
  if (folded === null) return null;
  const marks = MARKS.filter(([pattern]) => pattern.test(path)).map(([, name]) => name);
  // A server that trims reads `..%20` as `..`: without this mark the segments after it would not be checked.
  if (folded.climbs && !marks.includes(DOT_SEGMENT)) marks.push(DOT_SEGMENT);
  return { ...folded, path, marks: [...marks, ...folded.marks] };
}

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
// 140 ms for 16 KiB of short segments, where this takes 6

/** A place in the tree of all routes' words: the words before it have been read. */
class Place {
  /** By word. */
  readonly next = new Map<number, Place>();
  /** The routes whose words end here. */
  readonly routes: PathPattern[] = [];
}

/** The paths of verify and reject routes, to be searched for in targets. */
export class RoutePaths {
  readonly #root = new Place();
  readonly #words = new Words();
  /** Routes to `/`, which has no segments. */
  readonly #toRoot: readonly PathPattern[];

  constructor(patterns: readonly PathPattern[]) {
    const isRoot = ({ wildcard, views }: PathPattern) => !wildcard && views.some(({ length }) => length === 0);
    this.#toRoot = patterns.filter(isRoot);
    for (const pattern of patterns) if (!isRoot(pattern)) for (const view of pattern.views) this.#add(pattern, view);
  }

  #add(pattern: PathPattern, segments: readonly string[]): void {
    let place = this.#root;
    for (const segment of segments) {
      const word = this.#words.add(segment);
      const next = place.next.get(word) ?? new Place();
      place.next.set(word, next);
      place = next;
    }
    place.routes.push(pattern);
  }

  /** The routes as whose path a server could read the target, and how. */
  readingsIn(target: Target): ReadonlyMap<PathPattern, ReadingKind> {
    const views = [target, ...target.lenient].flatMap(viewsOf);
    const [read, readInOrder] = [new Set<PathPattern>(), new Set<PathPattern>()];
    for (const segments of views) {
      const words = segments.map((segment) => this.#words.in(segment));
      this.#readFromStart(segments, words, read);
      if (target.marks.length > 0) this.#readInOrder(words, readInOrder);
    }
    if (views.some(({ length }) => length === 0)) addAll(read, this.#toRoot);
    // A target can be read as `/` if it is cut to nothing (`/;x/y`) or climbs (`/x/..`).
    else if (target.kept === 0 || target.climbs) addAll(readInOrder, this.#toRoot);
    const kinds = new Map<PathPattern, ReadingKind>();
    for (const route of readInOrder) kinds.set(route, 'in order');
    for (const route of read) kinds.set(route, 'prefix');
    return kinds;
  }

  /**
   * Adds the routes whose words match consecutive segments, at the start or after a script: `/index.php/notify` is read
   * as `/notify`.
   */
  #readFromStart(segments: readonly string[], words: FoundWords, routes: Set<PathPattern>): void {
    let places = [this.#root];
    addAll(routes, this.#root.routes);
    for (let at = 0; at < segments.length; at++) {
      const next: Place[] = segments[at]?.includes('.') ? [this.#root] : [];
      for (const place of places) {
        for (const word of words[at] ?? NO_WORDS) {
          const reached = place.next.get(word);
          if (reached === undefined) continue;
          addAll(routes, reached.routes);
          next.push(reached);
        }
      }
      places = next;
    }
  }

  /** Adds the routes whose words match segments in the order of the words, with or without others between. */
  #readInOrder(words: FoundWords, routes: Set<PathPattern>): void {
    /** By word, the places that it leads to from those that are reached. Each place is reached once. */
    const awaited: (Place[] | undefined)[] = [];
    const reach = (place: Place) => {
      addAll(routes, place.routes);
      for (const [word, next] of place.next) {
        const others = awaited[word];
        if (others === undefined) awaited[word] = [next];
        else others.push(next);
      }
    };
    reach(this.#root);
    for (const found of words) {
      if (found.length === 0) continue;
      // Plain loops: with `flatMap` a target of many words took a third longer.
      const reached: Place[] = [];
      for (const word of found) {
        const places = awaited[word];
        if (places === undefined) continue;
        reached.push(...places);
        awaited[word] = undefined;
      }
      for (const place of reached) reach(place);
    }
  }
}

type FoundWords = readonly (readonly number[])[];
const NO_WORDS: readonly number[] = [];

function addAll<T>(set: Set<T>, items: readonly T[]): void {
  for (const item of items) set.add(item);
}

/** The words (folded segments) of a set of routes, each with its number. */
class Words {
  /** By hash, since a segment of many dots has many beginnings, and each would be hashed anew. */
  readonly #byHash = new Map<number, { readonly text: string; readonly numbers: readonly number[] }[]>();
  #longest = 0;
  #count = 0;

  /** Returns the word's number. */
  add(text: string): number {
    let hash = 0;
    for (let at = 0; at < text.length; at++) hash = hashed(hash, text.charCodeAt(at));
    const words = this.#byHash.get(hash) ?? [];
    const known = words.find((word) => word.text === text)?.numbers[0];
    if (known !== undefined) return known;
    words.push({ text, numbers: [this.#count] });
    this.#byHash.set(hash, words);
    this.#longest = Math.max(this.#longest, text.length);
    return this.#count++;
  }

  /** The words that the segment is, or begins with before a character that ends a name (`notify.json`, `notify:x`). */
  in(segment: string): readonly number[] {
    let found = NO_WORDS;
    let hash = 0;
    const most = Math.min(segment.length, this.#longest);
    for (let end = 1; end <= most; end++) {
      hash = hashed(hash, segment.charCodeAt(end - 1));
      if (end < segment.length && isOfName(segment.charCodeAt(end))) continue;
      for (const { text, numbers } of this.#byHash.get(hash) ?? []) {
        if (text.length === end && segment.startsWith(text))
          found = found === NO_WORDS ? numbers : [...found, ...numbers];
      }
    }
    return found;
  }
}

const hashed = (hash: number, code: number) => (Math.imul(hash, 31) + code) | 0;

/** True for `[A-Za-z0-9_-]`. */
function isOfName(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
}
