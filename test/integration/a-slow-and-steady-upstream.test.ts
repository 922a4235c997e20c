// An upstream that reads a large delivery slowly, but steadily, is not an upstream that hangs: what counts is what the
// kernel takes, not what the proxy has handed to its socket.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient } from '../support/raw-client.ts';
import { sign } from '../support/signer.ts';

const SECRET = 'slow-and-steady-secret-0123456789ab';
const BODY = Buffer.alloc(16 * 1024 * 1024, 'slow and steady ');
/** Far less than the upstream takes for the whole body, far more than it takes for 64 KiB. */
const IDLE_TIMEOUT = '1s';

let proxy: RunningProxy;
let close: () => void;
afterEach(async () => {
  await proxy?.stop();
  close?.();
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
  close = () => {
    for (const socket of sockets) socket.destroy();
    upstream.close();
  };
  proxy = await startProxy({
    config: {
      upstream: { url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, idleTimeout: IDLE_TIMEOUT },
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
    socket.on('readable', () => {
      setTimeout(() => {
        received += socket.read(Math.min(64 * 1024, socket.readableLength))?.length ?? 0;
        if (received >= BODY.length) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      }, 12);
    });
  });
  expect(await deliver()).toBe(200);
  expect(received).toBeGreaterThan(BODY.length);
});

test('is not confused with one that stops reading', async () => {
  await start(() => {});
  expect(await deliver()).toBe(504);
});
