// An upstream that reads a delivery of 16 MiB in steps with pauses between them, or not at all.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { SECRET } from '../deliveries/signer.ts';
import { sendTo } from '../http/raw-client.ts';
import { delivery } from '../http/requests.ts';
import { testDirectory } from '../machine/files.ts';
import { listening } from '../machine/listening.ts';
import { startProxy } from '../proxy/proxy.ts';

const BODY = Buffer.alloc(16 * 1024 * 1024, 'slow and steady ');

/**
 * Delivers to an upstream that pauses for so many milliseconds between two steps, and then to the same one while it
 * reads nothing. `idleTimeout` is one second. A Unix socket has small buffers; over TCP the kernel moves megabytes at a time,
 * however steadily one reads.
 */
export async function deliverSlowly(over: 'unix' | 'tcp', pause: number) {
  let received = 0;
  let reads = true;
  const upstream = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    if (!reads) return;
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (received >= BODY.length) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      socket.pause();
      setTimeout(() => socket.resume(), pause);
    });
    socket.resume();
  });
  const path = join(await testDirectory(), 'app.sock');
  const { port, close } = await listening(upstream, over === 'unix' ? path : 0);
  const url = over === 'unix' ? `unix://${path}` : `http://127.0.0.1:${port}`;
  const proxy = await startProxy({
    config: { upstream: { url, idleTimeout: '1s' }, routes: [{ path: '/notify', maxBody: '16MiB' }] },
    secrets: { current: SECRET },
  });
  const deliver = async () => {
    received = 0;
    const client = await sendTo(proxy, delivery(BODY.toString('latin1'), SECRET));
    const { status } = await client.response();
    client.destroy();
    return { status, whole: received >= BODY.length };
  };
  try {
    const slow = await deliver();
    reads = false;
    return { slow, still: await deliver() };
  } finally {
    await proxy.stop();
    await close();
  }
}
