// A flood: many connections that all do one bad thing, from a separate process (test/load/flooders.ts) so they do not
// slow the honest clients down.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';

export interface Flood {
  readonly port: number;
  /** Concurrent connections. A closed one is reopened a second later. */
  readonly connections: number;
  /** The loopback address of all connections; they come from 200 unless given. */
  readonly from?: string;
  /** After a complete TLS handshake. */
  readonly tls?: true;
  /** Each connection sends this first; nothing unless given. */
  readonly first?: Buffer;
  /**
   * What follows. `pour`: the same bytes again as fast as they are accepted, up to the shared rate (POUR_BYTES). `ask`:
   * the same bytes again after each response. A drip: these bytes each so many milliseconds. Silence unless given.
   */
  readonly next?: 'pour' | 'ask' | { readonly drip: string; readonly every: number };
  readonly deaf?: boolean;
}

export interface FloodReport {
  /** Connections that the kernel or the proxy accepted. */
  readonly opened: number;
  readonly ended: number;
  readonly bytesSent: number;
  /** How often each status came first on a connection. */
  readonly answers: Readonly<Record<string, number>>;
}

/**
 * Bytes a second that all connections together pour in: 2 Gbit/s. That is more than a server can parse as requests, and
 * too little to keep both cores busy copying between loopback sockets.
 */
export const POUR_BYTES = 250_000_000;

const FLOODERS = fileURLToPath(new URL('../../load/flooders.ts', import.meta.url));

/** All of them at once. Resolves when the first connections are being opened; `full`: when all have been. */
export async function startFlood(...floods: readonly Flood[]) {
  const child = fork(FLOODERS, { env: { PATH: process.env.PATH ?? '' }, execArgv: [], serialization: 'advanced' });
  const closed = once(child, 'close');
  const begun = once(child, 'message');
  const full = new Promise<void>((resolve) => {
    child.on('message', (message) => void (message === 'full' && resolve()));
  });
  child.send(floods);
  await Promise.race([begun, closed]);
  if (!child.connected) throw new Error('the flood ended before it began');
  return {
    full,
    stop: async () => {
      if (!child.connected) throw new Error('the flood ended by itself');
      const reported = new Promise<FloodReport>((resolve) => {
        child.on('message', (message) => void (typeof message === 'object' && resolve(message as FloodReport)));
      });
      child.send('stop');
      const report = await reported;
      await closed;
      return report;
    },
  };
}

/** As many complete copies as fit into `bytes`. */
export function repeated(text: string, bytes: number): Buffer {
  return Buffer.from(text.repeat(Math.floor(bytes / text.length)), 'latin1');
}

/** The first bytes that a TLS client on this machine sends. */
export function clientHello(options: ConnectionOptions = {}): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({ read() {}, write: (bytes: Buffer) => resolve(bytes) });
    connectTls({ ...options, socket: wire, rejectUnauthorized: false }).on('error', () => {});
  });
}
