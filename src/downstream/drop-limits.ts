// The limits on what a connection reads only to drop it: the rest of a refused body, and what follows the last answer.

/** Bytes. A refused body up to this size is read and dropped; a longer one ends the connection. */
export const DROPPED_BODY = 64 * 1024;
/** Milliseconds for the rest of a refused body. */
export const REST_MS = 2000;
/** Limits on what a client sends after the last answer: bytes, milliseconds in all, milliseconds of silence. */
export const DROPPED_BYTES = 32 * 1024 * 1024;
export const DROPPING_MS = 2000;
export const SILENCE_MS = 1000;
