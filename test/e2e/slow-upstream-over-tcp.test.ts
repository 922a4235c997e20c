// An upstream that reads a large delivery slowly over TCP: the kernel wakes the proxy only once a third of its buffer is
// free, more than a second apart here, so that the proxy must look at the kernel's queue to see the progress.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { openClient } from '../support/http/raw-client.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';

const SECRET = 'slow-and-steady-secret-0123456789ab';
const BODY = Buffer.alloc(16 * 1024 * 1024, 'slow and steady ');
/** Far less than the upstream takes for the whole body. */
const IDLE_TIMEOUT = '1s';

let proxy: RunningProxy;
let close: () => Promise<void>;
afterEach(async () => {
  await proxy?.stop();
  await close?.();
});

/** Starts an upstream that reads with `read`, and a proxy in front of it. */
async function start(read: (socket: Socket) => void): Promise<void> {
  const sockets = new Set<Socket>();
  const upstream = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    read(socket);
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  close = () => {
    for (const socket of sockets) socket.destroy();
    upstream.close();
    return Promise.resolve();
  };
  proxy = await startProxy({
    config: {
      upstream: { url: `http://127.0.0.1:${port}`, idleTimeout: IDLE_TIMEOUT },
      routes: [{ path: '/notify', maxBody: '16MiB' }],
    },
    secrets: { current: SECRET },
  });
}

async function deliver(): Promise<number> {
  const client = await openClient({ port: proxy.port });
  const head = ['POST /notify HTTP/1.1', 'Host: h', `Entrupy-Signature: ${sign(SECRET, BODY)}`];
  await client.send(
    Buffer.concat([Buffer.from([...head, `Content-Length: ${BODY.length}`, '', ''].join('\r\n')), BODY]),
  );
  const { status } = await client.response();
  client.destroy();
  return status;
}

test('gets the whole of a delivery that takes longer than idleTimeout', async () => {
  let received = 0;
  await start((socket) => {
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (received >= BODY.length) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      socket.pause();
      setTimeout(() => socket.resume(), 60);
    });
    socket.resume();
  });
  expect(await deliver()).toBe(200);
  expect(received).toBeGreaterThanOrEqual(BODY.length);
});

test('is not confused with one that stops reading', async () => {
  await start(() => {});
  expect(await deliver()).toBe(504);
});
