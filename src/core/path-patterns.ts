// The paths of routes as they are configured: which are allowed, and which ones a server may take for each other.
import { foldPath, viewsOf } from './fold-path.ts';
import { examinePath, type PathPattern } from './path-readings.ts';

export function parsePattern(path: string): PathPattern {
  const wildcard = path.endsWith('/*');
  const stem = wildcard ? path.slice(0, -2) : path;
  return { wildcard, stem, views: viewsOf(foldPath(stem)) };
}

/** The maximum number of characters in a configured path. */
const MAX_CONFIGURED = 1024;

/** Why a path may not be configured, as a text for the operator; null if it may. */
export function pathProblem(path: string): string | null {
  if (!path.startsWith('/')) return 'must begin with /';
  const { stem, wildcard } = parsePattern(path);
  if (stem.includes('*')) return 'may have a * only as the whole last segment (/*)';
  if (stem.length > MAX_CONFIGURED) return `is longer than ${MAX_CONFIGURED} characters`;
  if (/[^\x21-\x7e]/.test(stem)) return `must be ASCII: write ${encodeURI(stem.replace(/[\x00-\x20\x7f]/g, ''))}`;
  if (/[?#\\"<>^`{|}]/.test(stem)) return 'must not hold any of ? # \\ " < > ^ ` { | }';
  if (/%(?![0-9a-f]{2})/i.test(stem)) return 'has a % that is not followed by two hex digits';
  if (/%[0-7]/.test(stem)) return 'may escape only non-ASCII characters';
  const mark = examinePath(stem).marks[0];
  if (mark !== undefined) return `must be plain: it holds ${mark}`;
  if (wildcard && stem.endsWith('/')) return 'must be plain: it holds an empty segment';
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
