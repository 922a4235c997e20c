// Bytes in memory: copies that keep no larger buffer alive, memory that is freed at once, and how much there may be.
import { Buffer } from 'node:buffer';

export const NO_BYTES = Buffer.alloc(0);

/** Joins both in a newly allocated buffer, which keeps neither a 64 KiB read nor Node's shared pool alive. */
export function appended(bytes: Buffer, more: Buffer): Buffer<ArrayBuffer> {
  const both = Buffer.allocUnsafeSlow(bytes.length + more.length);
  bytes.copy(both);
  more.copy(both, bytes.length);
  return both;
}

/** Bytes. A smaller buffer is left to the garbage collector. */
const WORTH_FREEING = 4 * 1024;

/** Frees the bytes' memory at once, unless others share it or it is small. No view of it may be used again. */
export function free(bytes: Buffer): void {
  const { buffer } = bytes;
  if (bytes.length < WORTH_FREEING || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Bytes of memory that the container may use; huge or Infinity where there is no limit. */
export function containerMemory(): number {
  return process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0: unknown
}
