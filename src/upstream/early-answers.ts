// An upstream may answer and close while a request is still being sent to it. The write that then fails is not the end: the
// answer lies in the kernel, unread, and node destroys the socket with it. Overriding `destroy` on the socket is the only way
// to read it first (and reading by `onread`: a stream with a failed write emits no data any more). Without it 1, 87 and 99 of
// 100 early answers were lost at 100 KB, 1 MB and 8 MB. Should node end a socket in another way, the test named `an early
// answer arrives while the request is still being sent` fails.
import type { Socket } from 'node:net';

/** The end of what can be read comes at once, unless the client of the answer does not read. */
const LOOK_AGAIN_MS = 1000;

/** To be called once for a socket, before it writes. */
export function readBeforeFailedWriteEnds(socket: Socket): void {
  const destroy = socket.destroy;
  let failed = false;
  socket.destroy = (error?: Error) => {
    if (!isOfWrite(error)) return destroy.call(socket, error);
    if (failed) return socket;
    failed = true;
    // What can be read ends with 'end' or an error of the read, and that destroys the socket.
    const timer = setInterval(() => {
      if (!socket.isPaused()) destroy.call(socket, error);
    }, LOOK_AGAIN_MS).unref();
    socket.once('close', () => clearInterval(timer));
    return socket;
  };
}

function isOfWrite(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.syscall === 'write';
}
