// A flood: many connections that all do one bad thing, from a process of their own (test/load/flooders.ts), so that they take
// nothing from the clock of the honest clients.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Flood {
  readonly port: number;
  /** Connections at once. One that is ended comes back a second later. */
  readonly connections: number;
  /** `hello`: a whole ClientHello and nothing after it. `finished`: a whole handshake. */
  readonly tls?: 'hello' | 'finished';
  /** Each connection sends this first; nothing unless given. */
  readonly first?: Buffer;
  /**
   * What comes then. `pour`: the same again as fast as it is taken, and as the wire of all of them lets it (POUR_BYTES). `ask`:
   * the same again after each answer. `drip`: a byte a second. Silence unless given.
   */
  readonly next?: 'pour' | 'ask' | 'drip';
  /** Never reads what it is sent. */
  readonly deaf?: boolean;
}

export interface FloodReport {
  /** Connections that the kernel or the proxy accepted. */
  readonly opened: number;
  /** Those that were ended by the proxy. */
  readonly ended: number;
  readonly bytesSent: number;
  /** How often each status came first on a connection. */
  readonly answers: Readonly<Record<string, number>>;
}

/**
 * Bytes a second that pour in, of all connections together: what 2 Gbit/s carry. More than a server can read as requests, and
 * less than would keep both cores busy with copying from one loopback socket to the other.
 */
export const POUR_BYTES = 250_000_000;

const FLOODERS = fileURLToPath(new URL('../load/flooders.ts', import.meta.url));

/** Resolves when the first of its connections are on their way. */
export async function startFlood(flood: Flood): Promise<{ stop(): Promise<FloodReport> }> {
  const child = fork(FLOODERS, {
    env: { PATH: process.env.PATH ?? '' },
    execArgv: [],
    serialization: 'advanced',
  });
  const closed = once(child, 'close');
  const begun = once(child, 'message');
  child.send(flood);
  await Promise.race([begun, closed]);
  if (!child.connected) throw new Error('the flood ended before it began');
  return {
    stop: async () => {
      const reported = once(child, 'message');
      child.send('stop');
      const [report] = (await reported) as [FloodReport];
      await closed;
      return report;
    },
  };
}

/** As many whole copies as fit into `bytes`. */
export function repeated(text: string, bytes: number): Buffer {
  return Buffer.from(text.repeat(Math.floor(bytes / text.length)), 'latin1');
}
