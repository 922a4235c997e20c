// Shared by the sockets of both sides.

/** An error listener that does nothing: the 'close' that follows is handled. */
export function ignore(): void {}

/** Destroys the oldest member if there are more than `most`. */
export function destroyOldest<K>(
  members: { readonly size: number; entries(): Iterable<[K, { destroy(): unknown }]>; delete(key: K): boolean },
  most: number,
): void {
  if (members.size <= most) return;
  const [oldest] = members.entries();
  if (oldest === undefined) return;
  members.delete(oldest[0]);
  oldest[1].destroy();
}
