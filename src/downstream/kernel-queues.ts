// What the kernel holds of answers that were written: Node tells only what it has handed over, and a whole answer of a
// MiB fits into the kernel. Linux shows it to everyone (man 5 proc, /proc/net/tcp); elsewhere nothing is known.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Socket, SocketAddress } from 'node:net';

/** Bytes, where the system does not tell. It is Linux's default. */
const DEFAULT_WMEM = 4 * 1024 * 1024;

/** The most bytes that the kernel holds of what one socket sends: the last number of net.ipv4.tcp_wmem. */
export function greatestSendBuffer(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/tcp_wmem', 'latin1').trim().split(/\s+/)[2]) || DEFAULT_WMEM;
  } catch {
    return DEFAULT_WMEM;
  }
}

/** The client's address and port, as a key of `sendQueues`. */
export function peerOf({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress.replace(/^::ffff:/, '')} ${remotePort}`;
}

/** Bytes that are not acknowledged, of each connection on the local port, by its peer; empty where nothing is known. */
export async function sendQueues(localPort: number): Promise<ReadonlyMap<string, number>> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'latin1')))
    .then((texts) => texts.join('\n'))
    .catch(() => '');
  const port = localPort.toString(16).toUpperCase().padStart(4, '0');
  // `0: LOCAL:PORT REMOTE:PORT STATE SEND:RECEIVE …`, in hexadecimal; most rows have nothing to send
  const rows = tables.matchAll(new RegExp(`:${port} ([0-9A-F]+):([0-9A-F]{4}) .. (?!0{8}:)([0-9A-F]{8}):`, 'g'));
  const queues = new Map<string, number>();
  for (const [, address = '', remotePort = '', queued = ''] of rows) {
    queues.set(`${addressOf(address)} ${Number.parseInt(remotePort, 16)}`, Number.parseInt(queued, 16));
  }
  return queues;
}

/** The kernel prints words of four bytes, each in the machine's own order; all that Node runs on are little-endian. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex').swap32();
  const isMapped = bytes.length === 16 && bytes.readBigUInt64BE() === 0n && bytes.readUInt32BE(8) === 0xffff;
  if (bytes.length === 4 || isMapped) return bytes.subarray(-4).join('.');
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
