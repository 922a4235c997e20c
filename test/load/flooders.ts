// The clients of a flood. The parent process says which flood (test/support/load/flood.ts). This process floods until it is
// told to stop, then reports its results. It exits with its parent.
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type Flood, POUR_BYTES } from '../support/load/flood.ts';

/** A closed client reconnects after this long, so the flood is not a storm of connects. */
const BACK_AFTER_MS = 1000;
/**
 * All connections are opened within about a second: more at once would fill the kernel's accept queue for everybody.
 */
const OPEN_EVERY_MS = 50;
const OPEN_STEPS = 20;
/** Each loopback address has its own ports: 5,000 clients that reconnect each second exhaust those of one address. */
const ADDRESSES = 200;

const counts = { opened: 0, ended: 0, bytesSent: 0 };
const answers: Record<string, number> = {};
const sockets = new Set<Socket>();
let stopping = false;
let opened = 0;

const address = () => `127.0.1.${1 + (opened++ % ADDRESSES)}`;

function client(flood: Flood, hello: Buffer): void {
  if (stopping) return;
  const raw = connect({ port: flood.port, host: '127.0.0.1', localAddress: address(), allowHalfOpen: true });
  if (flood.deaf) raw.pause();
  const socket =
    flood.tls === 'finished'
      ? connectTls({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : raw;
  sockets.add(raw);
  raw.once('connect', () => counts.opened++);
  socket.on('error', () => raw.destroy());
  raw.on('error', () => socket.destroy());
  socket.once(flood.tls === 'finished' ? 'secureConnect' : 'connect', () => {
    if (flood.tls === 'hello') send(socket, hello);
    if (flood.first !== undefined) behave(socket, flood, flood.first);
  });
  if (!flood.deaf) read(socket, flood);
  raw.once('close', () => {
    sockets.delete(raw);
    if (stopping) return;
    counts.ended++;
    setTimeout(client, BACK_AFTER_MS, flood, hello);
  });
}

function read(socket: Socket, { next, first }: Flood): void {
  let hasAnswer = false;
  socket.on('data', (piece: Buffer) => {
    if (!hasAnswer && first !== undefined) {
      const status = piece.toString('latin1', 9, 12);
      answers[status] = (answers[status] ?? 0) + 1;
    }
    hasAnswer = true;
    if (next === 'ask' && first !== undefined) send(socket, first);
  });
  socket.on('end', () => socket.destroy());
}

function behave(socket: Socket, { next, deaf, connections }: Flood, first: Buffer): void {
  const pace = (1000 * first.length * connections) / POUR_BYTES;
  const pour = () => {
    const due = performance.now() + pace;
    send(socket, first, () => setTimeout(pour, Math.max(0, due - performance.now())));
  };
  if (next === 'pour') pour();
  else send(socket, first);
  // A paused socket notices a reset only on a write, even an empty one.
  if (next === 'drip' || (deaf && next === undefined)) {
    const timer = setInterval(() => send(socket, Buffer.alloc(next === 'drip' ? 1 : 0, 'x')), 1000);
    socket.once('close', () => clearInterval(timer));
  }
}

function send(socket: Socket, bytes: Buffer, onTaken?: () => void): void {
  if (!socket.writable) return;
  socket.write(bytes, (error) => {
    if (error) return;
    counts.bytesSent += bytes.length;
    onTaken?.();
  });
}

/** The first bytes that a TLS client on this machine sends. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => {},
      write: (bytes: Buffer, _encoding, done) => {
        resolve(bytes);
        done();
      },
    });
    connectTls({ socket: wire, rejectUnauthorized: false }).on('error', () => {});
  });
}

async function begin(flood: Flood): Promise<void> {
  const hello = await clientHello();
  let left = flood.connections;
  const step = Math.ceil(flood.connections / OPEN_STEPS);
  const timer = setInterval(() => {
    for (let count = 0; count < step && left > 0; count++, left--) client(flood, hello);
    if (left === 0) clearInterval(timer);
  }, OPEN_EVERY_MS);
  process.send?.('begun');
}

process.on('message', (message: Flood | 'stop') => {
  if (message !== 'stop') {
    void begin(message);
    return;
  }
  stopping = true;
  for (const socket of sockets) socket.resetAndDestroy();
  process.send?.({ ...counts, answers }, () => process.exit());
});
process.once('disconnect', () => process.exit());
