// Ports without a server: one that was free a moment ago, for servers that must come back on the same port, and one that
// the system never hands out. The system may give any other port to a concurrent test.
import { createServer } from 'node:net';

/** An address where nothing listens: the kernel gives no program a port below 1024 that did not ask for it. */
export const NOBODY = 'http://127.0.0.1:1';

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
