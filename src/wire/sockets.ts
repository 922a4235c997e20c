// Shared by the sockets of both sides.
import type { Buffer } from 'node:buffer';
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** Contents of TLS files, already checked. A change of the files replaces all of them together. */
export interface TlsContents {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** Towards the upstream: the name for SNI and for the certificate, where it is not the URL's host. */
  readonly servername?: string | undefined;
}

/** An error's code; empty where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code ?? '') : '';
}

/** A listener for errors after which only the 'close' matters. */
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

/** Where there are more than `most` members, destroys the one that came first. */
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

/** Frees memory at once, unless it is more than these bytes or less than `worth`. No view of it may be used again. */
export function free(bytes: Buffer, worth: number): void {
  const { buffer } = bytes;
  if (bytes.length < worth || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
