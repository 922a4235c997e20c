// Removes the oldest member if there are more than `most`. Returns it (its key, in a Map), or undefined.
export function dropOldest<K>(
  members: Pick<Map<K, unknown> | Set<K>, 'size' | 'keys' | 'delete'>,
  most: number,
): K | undefined {
  if (members.size <= most) return undefined;
  const [oldest] = members.keys();
  if (oldest !== undefined) members.delete(oldest);
  return oldest;
}
