// Shared by the sockets of both sides.
import type { Buffer } from 'node:buffer';
import { IndexedSet, type Member } from '../base/indexed-set.ts';

/** The contents of TLS files, already checked. When a file changes, all of them are replaced together. */
export interface TlsContents {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** For the upstream only: the name for SNI and for the certificate, if it is not the URL's host. */
  readonly servername?: string | undefined;
}

/** An error listener that does nothing: the 'close' that follows is handled. */
export function ignore(): void {}

const TICK_MS = 250;

/** Connections with deadlines, checked four times a second by one timer, which runs only while there are any. */
export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  #timer: NodeJS.Timeout | null = null;

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    this.#timer ??= setInterval(() => {
      const now = performance.now();
      for (const ticked of this.list()) ticked.tick(now);
    }, TICK_MS).unref();
  }

  delete(member: T): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** A copy, since members may leave during a loop over them. */
  list(): T[] {
    return [...this.#members];
  }
}

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
