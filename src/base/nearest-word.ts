// Allowed words in messages: the sentence that lists them, and the one that was probably meant. Each command loads it.

/** `a, b and c`, for sentences. */
export function listOf(words: readonly string[], conjunction: 'and' | 'or'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1)}`;
}

/** `; did you mean X?`; empty if no allowed word is near. */
export function didYouMean(word: string, allowed: readonly string[]): string {
  const near = nearest(word, allowed);
  return near === null ? '' : `; did you mean ${near}?`;
}

/** The allowed word nearest to `word`, ignoring case; null if the difference is more than a typing error. */
export function nearest(word: string, allowed: readonly string[], mostEdits = 3): string | null {
  const most = word.length > 64 ? -1 : Math.min(mostEdits, Math.floor(word.length / 2));
  for (let edits = 0; edits <= most; edits++) {
    const near = allowed.find((other) => isWithin(word.toLowerCase(), other.toLowerCase(), edits));
    if (near !== undefined) return near;
  }
  return null;
}

/** True if so many insertions, deletions and substitutions, or fewer, turn `a` into `b`. */
function isWithin(a: string, b: string, edits: number): boolean {
  if (a === b) return true;
  if (edits === 0 || Math.abs(a.length - b.length) > edits) return false;
  const [restOfA, restOfB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return isWithin(restOfA, restOfB, edits);
  const fewer = edits - 1;
  return isWithin(restOfA, restOfB, fewer) || isWithin(restOfA, b, fewer) || isWithin(a, restOfB, fewer);
}

/** The allowed path that begins most like `path`, ignoring case; null if several do, or only by their slash. */
export function mostAlike(path: string, allowed: readonly string[]): string | null {
  const given = path.toLowerCase();
  const amounts = allowed.map((other) => [...other.toLowerCase(), ''].findIndex((char, at) => char !== given[at]));
  const most = Math.max(2, ...amounts);
  const [first = null, second] = allowed.filter((_, at) => amounts[at] === most);
  return second === undefined ? first : null;
}
