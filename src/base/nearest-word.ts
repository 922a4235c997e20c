// Allowed words in messages: the sentence that lists them, and the one that was probably meant. It loads nothing, since each
// command has it.

/** `a, b and c`, for sentences. */
export function listOf(words: readonly string[], conjunction: 'and' | 'or'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1)}`;
}

/** `; did you mean X?`; empty if no allowed word is near. */
export function didYouMean(found: string, allowed: readonly string[]): string {
  const near = nearest(found, allowed);
  return near === null ? '' : `; did you mean ${near}?`;
}

/** The allowed word nearest to `found`, ignoring case; null if the difference is more than a typing error. */
export function nearest(found: string, allowed: readonly string[], mostEdits = 3): string | null {
  if (found.length > 64) return null;
  const most = Math.min(mostEdits, Math.floor(found.length / 2));
  const near = allowed
    .map((word) => ({ word, distance: edits(found.toLowerCase(), word.toLowerCase(), most) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.word ?? null;
}

/** The number of insertions, deletions and substitutions that turn `a` into `b`; Infinity if more than `most`. */
function edits(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return Number.POSITIVE_INFINITY;
  if (a === b) return 0;
  const [restOfA, restOfB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return edits(restOfA, restOfB, most);
  if (most === 0) return Number.POSITIVE_INFINITY;
  return 1 + Math.min(edits(restOfA, restOfB, most - 1), edits(restOfA, b, most - 1), edits(a, restOfB, most - 1));
}
