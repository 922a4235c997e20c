// A TLS handshake takes one of 128 places. A client far away needs several round trips for its own, so a flood of
// connections from one address must not take them all.
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { clientHello } from '../support/load/flood.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { shared } from '../support/proxy/shared.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const MANY = 200;

const authority = createAuthority(ownDirectory(), 'authority');
const sockets: Socket[] = [];
const on = shared(startUpstream, {
  listen: { host: '0.0.0.0', tls: authority.issue('proxy', { names: ['DNS:localhost'] }) },
  routes: [{ path: '/notify' }],
  limits: { headersTimeout: '1m' }, // no handshake ends by itself, however busy the machine is
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

function open(localAddress: string, other: { host?: string; localPort?: number } = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: on.proxy.port, localAddress, noDelay: true, ...other });
    sockets.push(socket);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => {});
      resolve(socket);
    });
  });
}

/** A handshake whose client gets the proxy's bytes only once they are released. */
async function farAway(localAddress: string, other = {}) {
  const socket = await open(localAddress, other);
  const waiting: Buffer[] = [];
  const answered = Promise.withResolvers<void>();
  let released = false;
  const far = new Duplex({
    read() {},
    write: (bytes: Buffer, _encoding, done) => void socket.write(bytes, () => done()),
  });
  socket.on('data', (bytes: Buffer) => {
    if (released) far.push(bytes);
    else waiting.push(bytes);
    answered.resolve();
  });
  socket.on('close', () => far.push(null));
  const stream: TLSSocket = connectTls({ socket: far, ca: readFileSync(authority.caFile), servername: 'localhost' });
  const secured = new Promise<boolean>((resolve) => {
    stream.once('secureConnect', () => resolve(true));
    stream.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
  await answered.promise;
  const release = () => {
    released = true;
    for (const bytes of waiting.splice(0)) far.push(bytes);
    return secured;
  };
  return { release, stream, socket };
}

/** Opens connections one after another, each with these first bytes; resolves once the proxy has them. */
async function flood(bytes: Buffer, localAddress: string): Promise<Socket[]> {
  const opened = await Promise.all(Array.from({ length: MANY }, () => open(localAddress)));
  await Promise.all(opened.map((socket) => new Promise((resolve) => socket.write(bytes, resolve))));
  await expect
    .poll(async () => (await on.proxy.metrics()).get('entrupy_proxy_connections'))
    .toBeGreaterThanOrEqual(MANY / 2);
  return opened;
}

test('Connections that send one byte take no place, whatever their address.', async () => {
  const { release } = await farAway('127.0.0.1');
  await flood(Buffer.from([22]), '127.0.0.1');
  expect(await release()).toBe(true);
});

test('A client that leaves during its handshake gives its place back.', async () => {
  const hello = await clientHello();
  for (const leaves of ['within its hello', 'with its hello', 'after the answer to it']) {
    const socket = await open('127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (leaves === 'within its hello') socket.end(hello.subarray(0, 9));
    else if (leaves === 'with its hello') socket.end(hello);
    else socket.once('data', () => socket.end()).write(hello);
    socket.resume();
    await closed;
  }
});

test('Handshakes that one address begins and leaves take the place of none from another.', async () => {
  const { release } = await farAway('127.0.0.2');
  const flooded = await flood(await clientHello(), '127.0.0.1');
  const answered = (socket: Socket) => socket.destroyed || socket.bytesRead > 0;
  for (const socket of flooded) socket.resume();
  await expect.poll(() => flooded.every(answered)).toBe(true);
  expect(await release()).toBe(true);
});

test('Two clients that have one address and one port, to two addresses of ours, are two.', async () => {
  const one = await farAway('127.0.0.1');
  const two = await farAway('127.0.0.1', { host: '127.0.0.2', localPort: one.socket.localPort });
  expect([await one.release(), await two.release()]).toEqual([true, true]);
  for (const { stream } of [one, two]) expect(await firstAnswer(stream)).toBe('HTTP/1.1 401');
});

/** How the answer to an unsigned request begins; empty if there is none. */
const firstAnswer = (stream: TLSSocket) =>
  new Promise<string>((resolve) => {
    stream.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1', 0, 12))).once('close', () => resolve(''));
    stream.write('POST /notify HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
  });
