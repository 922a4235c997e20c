// A storm of new connections from one address, and the far client that wants to get in meanwhile: it is one relay away,
// which holds back each flight for half the round trip. A loopback address stands for a client's.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';

export interface Storm {
  readonly port: number;
  /** A loopback address. */
  readonly from: string;
  /** New connections a second. */
  readonly rate: number;
  /** The bytes that each sends. */
  readonly first: Buffer;
}

export interface StormReport {
  readonly opened: number;
  readonly ended: number;
}

/** Resolves when it blows. */
export async function startStorm({ port, from, rate, first }: Storm): Promise<{ stop(): Promise<StormReport> }> {
  const words = [String(port), from, String(rate), first.toString('hex')];
  const program = fileURLToPath(new URL('../../load/one-byte.ts', import.meta.url));
  const child = fork(program, words, { env: { PATH: process.env.PATH ?? '' }, execArgv: [] });
  await once(child, 'message');
  return {
    stop: async () => {
      const closed = once(child, 'close');
      const reported = once(child, 'message');
      child.send('stop');
      const [report] = (await reported) as [StormReport];
      await closed;
      return report;
    },
  };
}

/** The first bytes that a TLS client on this machine sends. */
export function clientHello(): Promise<Buffer> {
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

export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/** Relays to the port from this loopback address; what passes takes half of `roundTrip` milliseconds each way. */
export async function startRelay(to: number, from: string, roundTrip: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    // As far away as its bytes: a client's first flight comes with the last step of the TCP handshake.
    near.once('data', (first: Buffer) => {
      near.pause();
      const far = connect({ port: to, host: '127.0.0.1', localAddress: from, noDelay: true, allowHalfOpen: true });
      sockets.add(far);
      far.write(first);
      slowly(near, far, roundTrip / 2);
      slowly(far, near, roundTrip / 2);
      near.resume();
    });
    sockets.add(near);
    near.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function slowly(from: Socket, to: Socket, delay: number): void {
  const later = (act: () => void) => void setTimeout(act, delay);
  from.on('data', (bytes: Buffer) => later(() => to.writable && to.write(bytes)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => {});
  from.on('close', (failed) => failed && later(() => to.resetAndDestroy()));
}
