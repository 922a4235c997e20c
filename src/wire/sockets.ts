// Shared by the sockets of both sides.

/** An error listener that does nothing: the 'close' that follows is handled. */
export function ignore(): void {}
