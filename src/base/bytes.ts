// Bytes in memory, where it matters who keeps them alive.
import { Buffer } from 'node:buffer';

export const NO_BYTES = Buffer.alloc(0);

/** Both in one buffer of their own, which keeps no read of 64 KiB alive, nor a pool that others share. */
export function appended(bytes: Buffer, more: Buffer): Buffer<ArrayBuffer> {
  const both = Buffer.allocUnsafeSlow(bytes.length + more.length);
  bytes.copy(both);
  more.copy(both, bytes.length);
  return both;
}

/** Frees the bytes' memory at once, unless others share it or it is less than `worth`. No view of it may be used. */
export function free(bytes: Buffer, worth: number): void {
  const { buffer } = bytes;
  if (bytes.length < worth || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
