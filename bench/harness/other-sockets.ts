// Idle sockets of other programs. The kernel's table of sockets is one for the whole machine, so whoever looks at it
// pays for all of them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../peers/idle-server.js', import.meta.url));
/** Connects at a time. */
const AT_ONCE = 200;

/** Opens so many sockets, half of them here and half in a child: each process may have only so many files. */
export async function openOtherSockets(count: number): Promise<{ close(): Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const sockets: Socket[] = [];
  const close = async () => {
    for (const socket of sockets) socket.resetAndDestroy();
    child.kill('SIGTERM');
    await exited;
  };
  try {
    const [line] = child.stdout === null ? [] : await once(child.stdout, 'data');
    const port = Number(String(line));
    while (sockets.length < count / 2) {
      const more = Array.from({ length: Math.min(AT_ONCE, Math.ceil(count / 2) - sockets.length) }, () =>
        connect(port, '127.0.0.1'),
      );
      sockets.push(...more);
      await Promise.all(more.map((socket) => once(socket, 'connect')));
    }
  } catch (error) {
    await close();
    throw error;
  }
  for (const socket of sockets) socket.on('error', () => {});
  return { close };
}
