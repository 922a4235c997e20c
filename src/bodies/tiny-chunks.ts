/** The most chunks of a body, besides one per 16 bytes: some encoders send one for each word. */
const MAX_TINY_CHUNKS = 8 * 1024;

/** True for a body in too many chunks for its bytes so far: each chunk costs a microsecond. */
export function hasTinyChunks(chunks: number, bytes: number): boolean {
  return chunks > MAX_TINY_CHUNKS + bytes / 16;
}
