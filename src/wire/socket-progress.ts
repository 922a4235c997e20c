// Tells whether bytes move on a socket. Node knows only what the kernel has accepted, and hears of free space only once
// a third of the kernel's buffer is free. Linux also shows how many bytes the other side has yet to acknowledge
// (/proc/net/tcp, man 5 proc); on other systems their number is unknown.
import { Buffer } from 'node:buffer';
import { createReadStream, readFileSync } from 'node:fs';
import { type Socket, SocketAddress } from 'node:net';
import { onePerTurn } from '../base/deadline.ts';

export class SocketProgress {
  /** When bytes last moved, in milliseconds on the monotonic clock. The owner sets it whenever the wait begins anew. */
  movedAt = 0;
  /** Bytes that the kernel had accepted at the last call of `idleFor`. */
  #flushed = 0;
  /** Bytes that the other side had acknowledged at the last look; null before the first one. */
  #acknowledged: number | null = null;
  /** The `movedAt` for which a look has shown that nothing has moved since the look before it. */
  #stillFrom: number | null = null;

  /** Called when a request begins. `now`: milliseconds on the monotonic clock. */
  begin(now: number): void {
    this.movedAt = now;
    this.#acknowledged = this.#stillFrom = null;
  }

  /** Milliseconds since bytes last moved. */
  idleFor(socket: Socket, now: number): number {
    const flushed = socket.bytesWritten - socket.writableLength;
    if (flushed !== this.#flushed) {
      this.#flushed = flushed;
      this.movedAt = now;
    }
    return now - this.movedAt;
  }

  /** True if bytes wait, and the other side has taken none for `milliseconds`, as two looks in a row have shown. */
  takesNothing(socket: Socket, milliseconds: number, now: number): boolean {
    const idle = this.idleFor(socket, now);
    if (socket.writableLength === 0 || idle < milliseconds / 2) return false;
    void this.#look(socket); // slow where the machine has thousands of sockets
    return idle >= milliseconds && this.#stillFrom === this.movedAt;
  }

  /**
   * Checks whether the other side has acknowledged bytes of which node is not told yet: the kernel wakes a writer only
   * once a third of its buffer (up to 4 MiB) is free. Without this an upstream that reads slowly would be cut.
   */
  async #look(socket: Socket): Promise<void> {
    const from = this.movedAt;
    const unsent = (await lookAtQueues(socket)).get(connectionKey(socket)) ?? 0;
    const seen = this.#flushed - unsent;
    if (this.#acknowledged === seen) this.#stillFrom = from;
    else if (this.#acknowledged !== null) this.movedAt = performance.now();
    this.#acknowledged = seen;
  }
}

/** Bytes. While no more than this may be unread, a client counts as reading, and the kernel's queue is not read. */
const MAX_UNREAD = 16 * 1024;

/** Tracks how much of one connection's answers its client has read. */
export class AnswerProgress {
  readonly #connection: { readonly stream: Socket };
  readonly #sending = new SocketProgress();
  /** Bytes of all answers so far that the client is known to have read. */
  #read = 0;
  /** When the client was last known to read, or had little to read. Milliseconds on the monotonic clock. */
  readAt = performance.now();
  /** Bytes that the kernel buffered at the last look. */
  inKernel = 0;

  constructor(connection: { readonly stream: Socket }) {
    this.#connection = connection;
  }

  /** Bytes of answers that the client is not known to have read. */
  get unread(): number {
    return this.#connection.stream.bytesWritten - this.#read;
  }

  /** True if the kernel may hold much that the client has not read. */
  get mayBeUnread(): boolean {
    return this.unread > MAX_UNREAD;
  }

  /** Records a look: `written` bytes were written before it began, and the kernel still buffered `inKernel`. */
  recordLook(written: number, inKernel: number, now: number): void {
    const read = written - inKernel - this.#connection.stream.writableLength;
    this.inKernel = inKernel;
    if (read <= this.#read) return;
    this.#read = read;
    this.readAt = now;
  }

  /** Called when a request begins. `now` here and below: milliseconds on the monotonic clock. */
  begin(now: number): void {
    this.#sending.begin(now);
  }

  /** Milliseconds for which the kernel has accepted nothing although bytes wait in node; 0 if none wait. */
  unreadFor(now: number): number {
    const { stream } = this.#connection;
    if (stream.writableLength === 0) this.#sending.movedAt = now;
    return this.#sending.idleFor(stream, now);
  }
}

// --- the kernel's queues

/** Bytes: Linux's default for the largest send buffer, used on systems that do not tell theirs. */
const DEFAULT_WMEM = 4 * 1024 * 1024;
/** Bytes. Linux returns at most a page of a table in one read, however much is asked for. */
const PIECE = 4096;

type AtEnd = 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort';
type Ends = { readonly [end in AtEnd]?: Socket[end] | undefined };

/** Bytes that the other side has not acknowledged, by `connectionKey`; sockets without any are left out. */
export type SendQueues = ReadonlyMap<string, number>;

/** The maximum number of bytes that the kernel buffers for one sending socket: the last number of net.ipv4.tcp_wmem. */
export function greatestSendBuffer(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/tcp_wmem', 'latin1').trim().split(/\s+/)[2]) || DEFAULT_WMEM;
  } catch {
    return DEFAULT_WMEM;
  }
}

/** Both ends of a connection. Both, since one address and port of a client may be connected to two of our addresses. */
export function connectionKey({ localAddress, localPort = 0, remoteAddress, remotePort = 0 }: Ends): string {
  return `${plainAddress(localAddress)} ${localPort} ${plainAddress(remoteAddress)} ${remotePort}`;
}

/** The `connectionKey` that the other side of the connection has. */
export function peerKey({ localAddress, localPort, remoteAddress, remotePort }: Ends): string {
  const theirs = { localAddress: remoteAddress, localPort: remotePort };
  return connectionKey({ ...theirs, remoteAddress: localAddress, remotePort: localPort });
}

/** An address without its zone; IPv4 as such, where a dual-stack socket names it `::ffff:…`. */
const plainAddress = (address = ''): string => address.replace(/^::ffff:|%.*$/g, '');

const LOOKS = { tcp: onePerTurn(() => queuesIn('tcp')), tcp6: onePerTurn(() => queuesIn('tcp6')) };

/**
 * Reads the queues of all sockets in the kernel's table that has this socket; empty where there is no such table. The
 * table of IPv6 also has the IPv4 clients of a dual-stack listener. The kernel walks all sockets of the machine, which
 * takes 8 ms even if there are none, so call this seldom. All callers within one turn of the event loop share a look.
 */
export function lookAtQueues({ remoteAddress = '' }: Pick<Ends, 'remoteAddress'>): Promise<SendQueues> {
  return LOOKS[remoteAddress.includes(':') ? 'tcp6' : 'tcp']();
}

// `0: LOCAL:PORT REMOTE:PORT STATE SEND:RECEIVE …`, in hexadecimal; most rows have nothing to send.
const ROW = / ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) .. (?!0{8}:)([0-9A-F]{8}):/g;

/** Reads a table a few whole rows at a time: with 20,000 sockets it has 3 MB. */
async function queuesIn(table: 'tcp' | 'tcp6'): Promise<SendQueues> {
  const queues = new Map<string, number>();
  const pieces = createReadStream(`/proc/net/${table}`, { encoding: 'latin1', highWaterMark: PIECE });
  let rest = '';
  try {
    for await (const piece of pieces) {
      const text = `${rest}${piece}`;
      const end = text.lastIndexOf('\n') + 1;
      rest = text.slice(end);
      for (const [, own = '', ownPort = '', other = '', otherPort = '', bytes = ''] of text
        .slice(0, end)
        .matchAll(ROW)) {
        const local = { localAddress: addressFromHex(own), localPort: fromHex(ownPort) };
        const remote = { remoteAddress: addressFromHex(other), remotePort: fromHex(otherPort) };
        queues.set(connectionKey({ ...local, ...remote }), fromHex(bytes));
      }
    }
  } catch {
    // The system has no such table.
  }
  return queues;
}

const fromHex = (digits: string) => Number.parseInt(digits, 16);

/** The kernel prints words of four bytes, each in the machine's byte order, here assumed to be little-endian. */
function addressFromHex(hex: string): string {
  const bytes = Buffer.from(hex, 'hex').swap32();
  const isMapped = bytes.length === 16 && bytes.readBigUInt64BE() === 0n && bytes.readUInt32BE(8) === 0xffff;
  if (bytes.length === 4 || isMapped) return bytes.subarray(-4).join('.');
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
