// An upstream that reads a large delivery slowly, but steadily, is not one that hangs: what counts is what the kernel takes,
// not what the proxy has handed to its socket. A Unix socket has small buffers. Over TCP the kernel wakes the proxy only once
// a third of its buffer is free, more than a second apart here: it must look at the kernel's queue to see the progress.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { listening } from '../support/machine/listening.ts';
import { test } from '../support/proxy/proxied.ts';

const BODY = Buffer.alloc(16 * 1024 * 1024, 'slow and steady ');

test.for([
  ['a Unix socket', 12],
  ['TCP', 60],
] as const)(
  'over %s it gets the whole of a delivery that takes longer than idleTimeout, unlike one that stops reading',
  async ([over, pause], { directory, start, onTestFinished }) => {
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
    const path = join(directory, 'app.sock');
    const { port, close } = await listening(upstream, over === 'TCP' ? 0 : path);
    onTestFinished(close);
    const url = over === 'TCP' ? `http://127.0.0.1:${port}` : `unix://${path}`;
    const proxy = await start({
      upstream: { url, idleTimeout: '1s' },
      routes: [{ path: '/notify', maxBody: '16MiB' }],
    });
    const deliver = async () => {
      received = 0;
      const { status } = await exchange(proxy.port, delivery(BODY.toString('latin1'), SECRET));
      return { status, whole: received >= BODY.length };
    };
    expect(await deliver()).toEqual({ status: 200, whole: true });
    reads = false;
    expect(await deliver()).toEqual({ status: 504, whole: false });
  },
);
