// The bytes that the kernel has yet to send: Node tells only what it has handed over, and when a third of the kernel's
// buffer is free again. Linux shows it to everyone (man 5 proc, /proc/net/tcp); elsewhere nothing is known.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Socket, SocketAddress } from 'node:net';

/** Linux's default in bytes, for systems that do not tell. */
const DEFAULT_WMEM = 4 * 1024 * 1024;
/** Milliseconds for which a look serves everyone who asks. */
const VALID_MS = 50;

type Ends = Pick<Socket, 'localPort' | 'remoteAddress' | 'remotePort'>;

/** Bytes that the other side has not acknowledged, by `queueKey`; sockets without any are left out. */
export type SendQueues = ReadonlyMap<string, number>;

/** The most bytes that the kernel holds of what one socket sends: the last number of net.ipv4.tcp_wmem. */
export function greatestSendBuffer(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/tcp_wmem', 'latin1').trim().split(/\s+/)[2]) || DEFAULT_WMEM;
  } catch {
    return DEFAULT_WMEM;
  }
}

/** The key of a socket in `SendQueues`. */
export function queueKey({ localPort = 0, remoteAddress = '', remotePort = 0 }: Ends): string {
  return `${localPort} ${remoteAddress.replace(/^::ffff:|%.*$/g, '')} ${remotePort}`;
}

let last: { readonly at: number; readonly queues: Promise<SendQueues> } | null = null;

/** As `lookAtQueues`, but perhaps some milliseconds old, since many ask. */
export function recentQueues(): Promise<SendQueues> {
  const now = performance.now();
  if (last === null || now - last.at > VALID_MS) last = { at: now, queues: lookAtQueues() };
  return last.queues;
}

// `0: LOCAL:PORT REMOTE:PORT STATE SEND:RECEIVE …`, in hexadecimal; most rows have nothing to send.
const ROW = /:([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) .. (?!0{8}:)([0-9A-F]{8}):/g;

/** Looks at the queues of all sockets; empty where nothing is known. It takes some milliseconds for a thousand. */
export async function lookAtQueues(): Promise<SendQueues> {
  // A kernel without IPv6 has only the first one.
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'latin1').catch(() => '')),
  );
  const queues = new Map<string, number>();
  for (const [, localPort = '', address = '', remotePort = '', queued = ''] of tables.join('\n').matchAll(ROW)) {
    const ends = {
      localPort: fromHex(localPort),
      remoteAddress: addressFromHex(address),
      remotePort: fromHex(remotePort),
    };
    queues.set(queueKey(ends), fromHex(queued));
  }
  return queues;
}

const fromHex = (digits: string) => Number.parseInt(digits, 16);

/** The kernel prints words of four bytes, each in the machine's own order; all that Node runs on are little-endian. */
function addressFromHex(hex: string): string {
  const bytes = Buffer.from(hex, 'hex').swap32();
  const isMapped = bytes.length === 16 && bytes.readBigUInt64BE() === 0n && bytes.readUInt32BE(8) === 0xffff;
  if (bytes.length === 4 || isMapped) return bytes.subarray(-4).join('.');
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
