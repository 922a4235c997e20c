// The paths of routes as they are configured: which are allowed, and which ones a server may take for each other.
import { foldPath } from './fold-path.ts';
import type { PathPattern } from './path-readings.ts';

/** Throws for a path that cannot be folded: `pathProblem` refuses it. */
export function parsePattern(path: string): PathPattern {
  const { stem, wildcard } = splitWildcard(path);
  const folded = foldPath(stem);
  if (folded === null) throw new Error('a path that cannot be folded');
  return { wildcard, stem, views: folded.readings.flat() };
}

function splitWildcard(path: string): Pick<PathPattern, 'stem' | 'wildcard'> {
  const wildcard = path.endsWith('/*');
  return { wildcard, stem: wildcard ? path.slice(0, -2) : path };
}

/** The maximum number of characters in a configured path. */
const MAX_CONFIGURED = 1024;

/** Why a path may not be configured, as a text for the operator; null if it may. */
export function pathProblem(path: string): string | null {
  if (!path.startsWith('/')) return 'must begin with /';
  const { stem, wildcard } = splitWildcard(path);
  if (stem.length > MAX_CONFIGURED) return `is longer than ${MAX_CONFIGURED} characters`;
  const pattern = patternProblem(stem);
  if (pattern !== null) return pattern;
  if (/[^\x21-\x7e]/.test(stem)) return `must be ASCII without spaces: write ${inAscii(stem)}`;
  if (/[?#\\"<>^`{|}]/.test(stem)) return 'must not hold any of ? # \\ " < > ^ ` { | }';
  if (/%(?![0-9a-f]{2})/i.test(stem)) return 'has a % that is not followed by two hex digits';
  if (/%(?!20)[0-7]/.test(stem)) return 'may escape only non-ASCII characters, and spaces (%20)';
  if (/\/%20|%20\.*(?:\/|$)/.test(stem)) return 'has a space (%20) at an end of a segment, where servers drop it';
  const folded = foldPath(stem);
  if (folded === null) return 'must be plain: it holds a character that folds to %, or 31 accents in a row';
  const [mark] = folded.marks;
  if (mark !== undefined) return `must be plain: it holds ${mark}`;
  if (wildcard && stem.endsWith('/')) return 'must be plain: it holds an empty segment';
  return null;
}

/** The path with escapes for spaces and all that is not ASCII. */
const inAscii = (path: string) => path.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()));

/** How other routers write what is no literal segment, and what they mean by it. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^[:$][A-Za-z_{]|^(?:\[.*\]|\(.*\)|<.*>|\{.*\})$/, 'a parameter'],
  [/\.[+*]|\\[dw]|^\^|\$$/, 'a regular expression'],
  [/^\+$|\*/, 'a wildcard'],
];

/**
 * Why a path is refused that other routers read as a pattern. Taken literally it would match no request, so with
 * `unmatched: forward` everything that it was written for would be forwarded unverified.
 */
function patternProblem(stem: string): string | null {
  const segments = stem.split('/');
  for (const [at, segment] of segments.entries()) {
    const meaning = PATTERNS.find(([form]) => form.test(segment))?.[1];
    if (meaning === undefined) continue;
    const above = segments.slice(0, at).join('/');
    const rest = above === '' ? 'everything' : `everything below ${above}`;
    return `holds ${segment}, ${meaning} to other routers but plain text here: write ${above}/* for ${rest}`;
  }
  return null;
}

/**
 * A key that is equal for two configured paths that a server may take for each other. `/a/*` and `/a` have different
 * keys, since a forward wildcard matches only below its stem. Paths that are equal as bytes are equal as text, too.
 */
export function foldedPath(path: string): string {
  const { wildcard, views } = parsePattern(path);
  return [wildcard ? '*' : '', ...(views[0] ?? [])].join('/');
}
