// An upstream that reads a large delivery slowly, but steadily, is not an upstream that hangs: what counts is what the
// kernel takes, not what the proxy has handed to its socket.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  // A Unix socket, whose buffers are small: over TCP the kernel moves megabytes at a time, however steadily one reads.
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-slow-test-'));
  const path = join(directory, 'app.sock');
  await new Promise<void>((resolve) => upstream.listen(path, resolve));
  close = () => {
    for (const socket of sockets) socket.destroy();
    upstream.close();
    return rm(directory, { recursive: true, force: true });
  };
  proxy = await startProxy({
    config: {
      upstream: { url: `unix://${path}`, idleTimeout: IDLE_TIMEOUT },
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
      setTimeout(() => socket.resume(), 12);
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
