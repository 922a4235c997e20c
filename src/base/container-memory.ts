/** Bytes of memory that the container may use; huge or Infinity where there is no limit. */
export function containerMemory(): number {
  return process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0: unknown
}
