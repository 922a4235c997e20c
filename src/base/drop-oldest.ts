// A Set or a Map keeps its members in the order in which they came.

/** Removes the oldest member if there are more than `most`, and returns it or its key. */
export function dropOldest<K>(
  members: Pick<Map<K, unknown> | Set<K>, 'size' | 'keys' | 'delete'>,
  most: number,
): K | undefined {
  if (members.size <= most) return undefined;
  const [oldest] = members.keys();
  if (oldest !== undefined) members.delete(oldest);
  return oldest;
}
