// The limits on what an upstream may answer. Beyond them a response is a failure of the protocol.

/** Bytes of a response's head. */
export const MAX_RESPONSE_HEAD = 64 * 1024;
/** The maximum number of interim responses (1xx): nothing else stops an upstream that sends them forever. */
export const MAX_INTERIMS = 100;
