// The workaround for answers that come while their request is still being sent.
import type { Socket } from 'node:net';

/** How often a socket with a failed write is checked. Its end comes at once unless the client does not read. */
const CHECK_MS = 1000;

/**
 * An upstream may answer and close while a request is still being sent to it. A write then fails while the answer lies
 * unread in the kernel, and node destroys the socket with it. Overriding `destroy` is the only way to read it first (by
 * `onread`: a stream with a failed write emits no data). Without it 1, 87 and 99 of 100 early answers were lost at 100
 * KB, 1 MB and 8 MB. If node ever ends sockets in another way, test/e2e/early-answers.test.ts fails.
 */
export function readBeforeFailedWriteEnds(socket: Socket): void {
  const destroy = socket.destroy;
  let failed = false;
  socket.destroy = (error?: NodeJS.ErrnoException) => {
    if (error?.syscall !== 'write') return destroy.call(socket, error);
    if (failed) return socket;
    failed = true;
    // Reading goes on until 'end' or an error of a read destroys the socket.
    const timer = setInterval(() => {
      if (!socket.isPaused()) destroy.call(socket, error);
    }, CHECK_MS).unref();
    socket.once('close', () => clearInterval(timer));
    return socket;
  };
}
