// The clients of floods. The parent process says which (test/support/load/flood.ts). This process floods until it is told
// to stop, then reports its results. It exits with its parent.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Flood, POUR_BYTES } from '../support/load/flood.ts';

/** A closed client reconnects after this long, so the flood is not a storm of connects. */
const BACK_AFTER_MS = 1000;
/** All connections are opened within a second: more at once would fill the kernel's accept queue for everybody. */
const OPEN_EVERY_MS = 10;
/** Each loopback address has its own ports: 5,000 clients that reconnect each second exhaust those of one address. */
const ADDRESSES = 200;

const counts = { opened: 0, ended: 0, bytesSent: 0 };
const answers: Record<string, number> = {};
const sockets = new Set<Socket>();
/** How many connections all floods together have at once. */
let wanted = 0;
let stopping = false;
let tried = 0;

function client(flood: Flood): void {
  if (stopping) return;
  const { port, tls, first, deaf, from = `127.0.1.${1 + (tried++ % ADDRESSES)}` } = flood;
  const raw = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
  if (deaf) raw.pause();
  const socket = tls ? connectTls({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }) : raw;
  sockets.add(raw);
  raw.once('connect', () => {
    if (++counts.opened === wanted) process.send?.('full');
  });
  socket.on('error', () => raw.destroy());
  raw.on('error', () => socket.destroy());
  if (first !== undefined) socket.once(tls ? 'secureConnect' : 'connect', () => behave(socket, flood, first));
  if (!deaf) read(socket, flood);
  socket.on('end', () => raw.resetAndDestroy());
  raw.once('close', () => {
    sockets.delete(raw);
    if (stopping) return;
    counts.ended++;
    setTimeout(client, BACK_AFTER_MS, flood);
  });
}

function read(socket: Socket, { next, first }: Flood): void {
  let hasAnswer = false;
  socket.on('data', (piece: Buffer) => {
    const status = /^HTTP\/1\.1 (\d+)/.exec(piece.toString('latin1', 0, 12))?.[1];
    if (!hasAnswer && status !== undefined) answers[status] = (answers[status] ?? 0) + 1;
    hasAnswer = true;
    if (next === 'ask' && first !== undefined) send(socket, first);
  });
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
  const { drip, every } = typeof next === 'object' ? next : { drip: '', every: 1000 };
  if (drip === '' && !(deaf && next === undefined)) return;
  const timer = setInterval(() => send(socket, Buffer.from(drip)), every);
  socket.once('close', () => clearInterval(timer));
}

function send(socket: Socket, bytes: Buffer, onTaken?: () => void): void {
  if (!socket.writable) return;
  socket.write(bytes, (error) => {
    if (error) return;
    counts.bytesSent += bytes.length;
    onTaken?.();
  });
}

function begin(flood: Flood): void {
  const { connections } = flood;
  const begun = performance.now();
  let opened = 0;
  const timer = setInterval(() => {
    const seconds = (performance.now() - begun) / 1000;
    const due = connections * Math.min(seconds, 1) - opened;
    // A busy machine makes up for little of what it missed.
    for (let count = Math.min(due, (connections * OPEN_EVERY_MS * 3) / 1000); count > 0; count--, opened++)
      client(flood);
    if (opened >= connections) clearInterval(timer);
  }, OPEN_EVERY_MS);
}

process.on('message', (message: readonly Flood[] | 'stop') => {
  if (message !== 'stop') {
    wanted = message.reduce((sum, { connections }) => sum + connections, 0);
    message.forEach(begin);
    process.send?.('begun');
    return;
  }
  stopping = true;
  for (const socket of sockets) socket.resetAndDestroy();
  process.send?.({ ...counts, answers }, () => process.exit());
});
process.once('disconnect', () => process.exit());
