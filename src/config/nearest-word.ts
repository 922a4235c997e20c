// The word that was probably meant.

/** The allowed word nearest to `found`, ignoring case; null if the difference is more than a typing error. */
export function nearest(found: string, allowed: readonly string[], mostEdits = 3): string | null {
  if (found.length > 64) return null;
  const most = Math.min(mostEdits, Math.floor(found.length / 2));
  const near = allowed
    .filter((word) => Math.abs(word.length - found.length) <= most)
    .map((word) => ({ word, distance: edits(found.toLowerCase(), word.toLowerCase()) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.word ?? null;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
function edits(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const cost = (row: number, column: number) => rows[row]?.[column] ?? 0;
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= b.length; column++) {
      const kept = cost(row - 1, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swapped = isSwap ? cost(row - 2, column - 2) + 1 : kept;
      current.push(Math.min(cost(row - 1, column) + 1, cost(row, column - 1) + 1, kept, swapped));
    }
  }
  return cost(a.length, b.length);
}
