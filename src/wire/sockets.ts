// Small things that the sockets of both sides share.
import type { Buffer } from 'node:buffer';
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** Contents of TLS files, read and checked elsewhere, and replaced whole when the files change. */
export interface TlsContents {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Towards the upstream: the name for SNI and for the certificate, where it is not the URL's host. */
  readonly servername?: string;
}

/** An error's code; empty where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code ?? '') : '';
}

/** For errors that 'close' follows, and which only the close counts for. */
export function ignore(): void {}

const TICK_MS = 250;

/** Connections that have deadlines: each looks at its own four times a second, by one timer for all while there are any. */
export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  #timer: NodeJS.Timeout | null = null;

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  delete(member: T): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** A copy: a member that ends leaves while the others are still to be looked at. */
  list(): T[] {
    return [...this.#members];
  }

  #tick(): void {
    const now = performance.now();
    for (const member of this.list()) member.tick(now);
  }
}

interface Destroyable {
  destroy(): unknown;
}

/** Keeps at most `most` members: beyond that the one that came first is destroyed. */
export function destroyOldest<K>(
  members: { readonly size: number; entries(): Iterable<[K, Destroyable]>; delete(key: K): boolean },
  most: number,
): void {
  if (members.size <= most) return;
  const [oldest] = members.entries();
  if (oldest === undefined) return;
  members.delete(oldest[0]);
  oldest[1].destroy();
}

/** Gives memory back at once, where these bytes are all of it and nobody keeps a view. Fewer bytes than `worth` are left. */
export function free(bytes: Buffer, worth: number): void {
  const { buffer } = bytes;
  if (bytes.length < worth || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
