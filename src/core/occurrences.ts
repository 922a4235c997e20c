// Where in a target the words of the routes stand. Found once for all routes: each looking for itself is the product of
// their number and the target's length, and 16 KiB of dotted segments took 144 ms with 1,000 routes; so they take 4.

/** A word's places among the segments, ascending; absent where it has none. */
export type Occurrences = ReadonlyMap<string, readonly number[]>;

/** True where `segment` is the word, or goes on with a character that ends a name (`notify.json`, `notify:x`). */
export function segmentMatches(segment: string, word: string): boolean {
  return segment.startsWith(word) && endsAt(segment, word.length);
}

function endsAt(segment: string, length: number): boolean {
  return segment.length === length || !/[A-Za-z0-9_-]/.test(segment.charAt(length));
}

/** The folded segments of some routes. */
export class Words {
  readonly #words: ReadonlySet<string>;
  /** Of the words, each once. */
  readonly #lengths: readonly number[];

  constructor(words: Iterable<string>) {
    this.#words = new Set(words);
    this.#lengths = [...new Set([...this.#words].map(({ length }) => length))].sort((a, b) => a - b);
  }

  find(segments: readonly string[]): Occurrences {
    const places = new Map<string, number[]>();
    for (const [place, segment] of segments.entries()) {
      for (const length of this.#lengths) {
        if (length > segment.length) break;
        if (!endsAt(segment, length)) continue;
        const word = segment.slice(0, length);
        if (!this.#words.has(word)) continue;
        const before = places.get(word);
        if (before === undefined) places.set(word, [place]);
        else before.push(place);
      }
    }
    return places;
  }
}

/**
 * True where segments that match the words stand side by side, the first of them at a place that `mayStart` there. It tries
 * the places of the rarest word alone, or a target that says the most frequent one again and again would cost them all.
 */
export function occursAt(
  words: readonly string[],
  { segments, found }: { segments: readonly string[]; found: Occurrences },
  mayStart: (place: number) => boolean,
): boolean {
  if (words.length === 0) return mayStart(0);
  let rarest: readonly number[] | null = null;
  let offset = 0;
  for (const [index, word] of words.entries()) {
    const places = found.get(word);
    if (places === undefined) return false;
    if (rarest === null || places.length < rarest.length) [rarest, offset] = [places, index];
  }
  return (rarest ?? []).some((place) => {
    const start = place - offset;
    return (
      start >= 0 && mayStart(start) && words.every((word, index) => segmentMatches(segments[start + index] ?? '', word))
    );
  });
}

/** True where segments that match the words stand in their order, each further on than the one before. */
export function occursInOrder(words: readonly string[], found: Occurrences): boolean {
  let last = -1;
  for (const word of words) {
    const next = firstAfter(found.get(word) ?? [], last);
    if (next === undefined) return false;
    last = next;
  }
  return true;
}

function firstAfter(places: readonly number[], last: number): number | undefined {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] ?? 0) > last) high = middle;
    else low = middle + 1;
  }
  return places[low];
}
