// A client on a raw socket for tests: it sends exactly the given bytes, and reads responses with the strict parser.
// Every wait has a deadline and says what it waited for: it must never hang a test run.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { within } from '../machine/within.ts';
import { parseResponse, type RawResponse } from './response-parser.ts';

export interface ReadOptions {
  readonly head?: boolean;
}

export type RawClient = Awaited<ReturnType<typeof openClient>>;

export interface ConnectOptions {
  readonly port: number;
  readonly host?: string;
  /** The authority of the server's certificate, PEM; over plain TCP without it. */
  readonly ca?: string;
}

const sockets = new Set<Socket>();

/** Ends all clients, also those that a test which failed has left: they must not take the next test along. */
export function endClients(): void {
  for (const socket of sockets) socket.destroy();
}

export async function openClient({ port, host = '127.0.0.1', ca }: ConnectOptions) {
  const tcp = connect({ port, host, noDelay: true });
  const socket = ca === undefined ? tcp : connectTls({ socket: tcp, ca, host });
  sockets.add(socket);
  let opened = false;
  /** The unread bytes, which lie in `room`. It doubles: a large response comes in hundreds of pieces. */
  let pending: Buffer = Buffer.alloc(0);
  let room = pending;
  let closed: string | null = null;
  let wake: () => void = () => {};
  const close = (how: string) => {
    closed ??= how;
    wake();
  };
  socket.once(ca === undefined ? 'connect' : 'secureConnect', () => {
    opened = true;
    wake();
  });
  socket.on('data', (piece: Buffer) => {
    const length = pending.length + piece.length;
    let from = pending.byteOffset - room.byteOffset;
    if (from + length > room.length) {
      room = Buffer.allocUnsafeSlow(2 * length);
      pending.copy(room);
      from = 0;
    }
    piece.copy(room, from + pending.length);
    pending = room.subarray(from, from + length);
    wake();
  });
  socket.on('end', () => close('closed'));
  socket.on('error', (error: NodeJS.ErrnoException) => close(`failed with ${error.code ?? error.message}`));
  socket.on('close', () => {
    sockets.delete(socket);
    close('closed');
  });

  /** Retries at each change until `attempt` returns something, or the deadline passes. */
  function until<T>(what: string, attempt: () => T | undefined): Promise<T> {
    const start = (done: (result: T) => void, fail: (error: Error) => void) => {
      wake = () => {
        try {
          const result = attempt();
          if (result === undefined) return;
          done(result);
        } catch (error) {
          fail(error as Error);
        }
        wake = () => {}; // an attempt that is over must not take what comes next
      };
      wake();
    };
    const unread = () => JSON.stringify(pending.toString('latin1', 0, 400));
    return within(what, start, () => `; the connection is ${closed ?? 'open'}, unread: ${unread()}`);
  }

  const responseOrClose = (options: ReadOptions = {}) =>
    until<RawResponse | null>('a response', () => {
      const parsed = parseResponse(pending, { ...options, ended: closed !== null });
      if (parsed !== null) {
        pending = pending.subarray(parsed.length);
        return parsed.response;
      }
      if (closed === null) return undefined;
      if (pending.length === 0) return null;
      throw new Error(`the connection ${closed} within a response: ${JSON.stringify(`${pending.subarray(0, 99)}`)}`);
    });

  await until('a connection', () => {
    if (closed !== null) throw new Error(`connecting to ${host}:${port} ${closed}`);
    return opened || undefined;
  }).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });

  return {
    socket,
    /** Sends these bytes (a string is latin1: one byte a character); resolves when the kernel has accepted them. */
    send: (bytes: string | Buffer) =>
      within('the peer to take bytes', (done) => {
        // A failed write is not an error here: the peer may have responded and closed, and only the response matters.
        socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => done());
      }),
    /** The next final response, or null if the peer closed (or reset) without another byte. */
    responseOrClose,
    /** The next final response, with the informational ones before it. Throws when the peer closes first. */
    response: async (options?: ReadOptions) => {
      const response = await responseOrClose(options);
      if (response === null) throw new Error(`the connection ${closed} without a response`);
      return response;
    },
    /** Resolves when at least `count` bytes have arrived that no response has consumed. */
    bytes: (count: number) => until(`${count} bytes`, () => (pending.length >= count ? pending : undefined)),
    /** Everything not yet read, once the peer has closed or reset the connection. */
    rest: () => until('the end of the connection', () => (closed === null ? undefined : pending)),
    /** Half-close: no more bytes from here; responses can still arrive. */
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

export async function sendTo(to: ConnectOptions, bytes: string | Buffer): Promise<RawClient> {
  const client = await openClient(to);
  await client.send(bytes);
  return client;
}

/** Sends the bytes on a new connection, to this port at least, reads one response and drops the connection. */
export async function exchange(to: number | ConnectOptions, bytes: string | Buffer, options: ReadOptions = {}) {
  const client = await sendTo(typeof to === 'number' ? { port: to } : to, bytes);
  try {
    return await client.response(options);
  } finally {
    client.destroy();
  }
}
