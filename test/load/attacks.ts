// The attackers, in their own process so they do not slow the honest clients down. hostile.ts starts it with the port
// and a signature. It attacks until it is stopped, then prints the responses that it got.
import { connect, type Socket } from 'node:net';

const [port = '0', signature = ''] = process.argv.slice(2);
const MIB = 1024 * 1024;

/** Responses by attack and status line; `cut` if the connection ended without one. */
const answers = new Map<string, number>();

function count(attack: string, answer: string): void {
  const key = `${attack}: ${answer}`;
  answers.set(key, (answers.get(key) ?? 0) + 1);
}

interface Attack {
  readonly name: string;
  /** Concurrent connections; one that ends is reopened. */
  readonly connections: number;
  readonly head: string;
  /** Milliseconds between two drips; 0: as fast as the proxy accepts them. */
  readonly every: number;
  readonly drip: string | Buffer;
  /** The number of drips before the client waits for its response; endless unless given. */
  readonly drips?: number;
  readonly after?: string;
  /** Never reads. */
  readonly deaf?: true;
}

const post = (target: string, ...lines: string[]) =>
  [`POST ${target} HTTP/1.1`, 'Host: h', ...lines, '', ''].join('\r\n');
const signed = `Entrupy-Signature: ${signature}`;
const CHUNKED = 'Transfer-Encoding: chunked';
const TINY = '1\r\nx\r\n'.repeat(10_000);

const ATTACKS: readonly Attack[] = [
  // 500 slow clients
  {
    name: 'slow signed body',
    connections: 200,
    head: post('/notify', signed, 'Content-Length: 100000'),
    every: 200,
    drip: 'x',
  },
  { name: 'slow upload', connections: 150, head: post('/open/x', 'Content-Length: 100000'), every: 200, drip: 'x' },
  {
    name: 'slow reader',
    connections: 150,
    head: `GET /open/${64 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`,
    every: 1000,
    drip: '',
    deaf: true,
  },
  { name: 'header drip', connections: 100, head: 'GET /open/0 HTTP/1.1\r\nHost: h\r\n', every: 200, drip: 'a: b\r\n' },
  { name: 'bare CRLF drip', connections: 100, head: '', every: 200, drip: '\r\n' },
  {
    name: '1 MiB unsigned',
    connections: 200,
    head: post('/notify', `Content-Length: ${MIB}`),
    every: 0,
    drip: Buffer.alloc(MIB),
    drips: 1,
  },
  {
    name: '20 MB refused early',
    connections: 10,
    head: post('/notify', 'Content-Length: 20000000'),
    every: 0,
    drip: Buffer.alloc(1_000_000),
    drips: 20,
  },
  {
    name: 'a million chunks, verified',
    connections: 2,
    head: post('/notify', signed, CHUNKED),
    every: 0,
    drip: TINY,
    drips: 100,
    after: '0\r\n\r\n',
  },
  {
    name: 'a million chunks, streamed',
    connections: 2,
    head: post('/open/x', CHUNKED),
    every: 0,
    drip: TINY,
    drips: 100,
    after: '0\r\n\r\n',
  },
];

/** A closed attacker reconnects after this long, so the load is not a storm of connects. */
const BACK_AFTER_MS = 1000;
let stopping = false;

function attack(it: Attack): void {
  if (stopping) return;
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  let answer = 'cut';
  let left = it.drips ?? Number.POSITIVE_INFINITY;
  socket.on('error', () => {});
  socket.on('connect', () => {
    socket.write(it.head);
    if (it.every > 0) dripSlowly(socket, it);
    else pour();
  });
  const pour = () => {
    while (left > 0 && !socket.destroyed) {
      left--;
      if (!socket.write(it.drip)) {
        socket.once('drain', pour);
        return;
      }
    }
    if (left === 0) {
      left = -1;
      socket.write(it.after ?? '');
    }
  };
  if (it.deaf !== true) {
    socket.on('data', (piece: Buffer) => {
      if (answer === 'cut') answer = piece.toString('latin1', 9, 12);
      if (it.drips !== undefined) setTimeout(() => socket.destroy(), 100); // the response is complete
    });
    socket.on('end', () => socket.destroy());
  }
  socket.on('close', () => {
    if (stopping) return;
    count(it.name, answer);
    setTimeout(attack, BACK_AFTER_MS, it);
  });
  process.once('SIGTERM', () => socket.destroy());
}

function dripSlowly(socket: Socket, { every, drip }: Attack): void {
  const timer = setInterval(() => socket.write(drip), every);
  socket.once('close', () => clearInterval(timer));
}

process.setMaxListeners(0);
process.once('SIGTERM', () => {
  stopping = true;
  process.stdout.write(JSON.stringify(Object.fromEntries([...answers].sort())), () => process.exit());
});
const chosen = ATTACKS.filter(({ name }) => name.includes(process.env.HOSTILE_ONLY ?? ''));
for (const it of chosen) for (let index = 0; index < it.connections; index++) attack(it);
