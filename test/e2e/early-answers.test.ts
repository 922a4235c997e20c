// An early answer arrives, however much is still being sent.
// An upstream that responds and closes while the body is still being sent, as one does that refuses it for its size. A
// failed write is not the end: the response has already arrived and has to be read first. Every one must arrive.
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient } from '../support/http/raw-client.ts';
import { inChunks } from '../support/http/requests.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';

const AT_ONCE = 2;
const CHUNK = 64 * 1024;

const SIZES = [
  ['100 KB', 100_000, 100],
  ['1 MB', 1_000_000, 100],
  ['8 MB', 8_000_000, 25],
] as const;

/** The rest of the body stays unread, so the kernel resets the connection after the response. */
const leaves = (socket: Socket, answer: string) => void socket.write(answer, () => socket.destroy());
/** The connection is half-closed after the response, and nothing more is read. */
const ends = (socket: Socket, answer: string) => void socket.end(answer);

/** A body that lasts until the close, ended by a reset instead. */
const resets = (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\npart', () => socket.resetAndDestroy());

let close: (socket: Socket, answer: string) => void = leaves;
const on = shared(startRawUpstream, {
  routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }],
  limits: { maxBody: '16MiB', bufferedBytes: '256MiB' },
  log: { requests: 'none' },
});
beforeAll(() =>
  on.upstream.script((socket, { head }) => {
    socket.pause().removeAllListeners('data');
    const body = `early ${/^x-id: (\d+)\r$/im.exec(head)?.[1]}`;
    close(socket, `HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }),
);

/** A framed body of the given size, and the lines that frame it. */
interface Payload {
  readonly target: string;
  readonly lines: readonly string[];
  readonly bytes: Buffer;
}

const bodyOf = (size: number) => Buffer.alloc(size, '{"event":"large"}');

const KINDS: readonly (readonly [string, (size: number) => Payload])[] = [
  [
    'verified',
    (size) => {
      const bytes = bodyOf(size);
      const lines = [`Entrupy-Signature: ${sign(SECRET, bytes)}`, `Content-Length: ${size}`];
      return { target: '/notify', lines, bytes };
    },
  ],
  ['forwarded', (size) => ({ target: '/open', lines: [`Content-Length: ${size}`], bytes: bodyOf(size) })],
  ['reported', (size) => ({ target: '/report', lines: [`Content-Length: ${size}`], bytes: bodyOf(size) })],
  [
    'forwarded in chunks',
    (size) => {
      const bytes = Buffer.from(inChunks(bodyOf(size).toString(), CHUNK));
      return { target: '/open', lines: ['Transfer-Encoding: chunked'], bytes };
    },
  ],
];

/** Sends the payload repeatedly, two at a time; counts the results. */
async function sendAll(payload: Payload, times: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  let next = 0;
  const sender = async () => {
    while (next++ < times) {
      const became = await send(payload, next);
      counts[became] = (counts[became] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  for (const socket of on.upstream.sockets) socket.destroy();
  await untilAtRest(on.proxy);
  return counts;
}

/** The result of one request, in a line. */
async function send({ target, lines, bytes }: Payload, id: number): Promise<string> {
  const client = await openClient(on.proxy);
  try {
    // Not awaited: the response arrives before everything is sent.
    const head = [`POST ${target} HTTP/1.1`, 'Host: h', `X-Id: ${id}`, ...lines, '', ''].join('\r\n');
    client.send(Buffer.concat([Buffer.from(head), bytes])).catch(() => {});
    const { status, body } = await client.response();
    if (status === 502) return 'refused';
    return status === 413 && body.toString() === `early ${id}` ? 'its own' : `${status}: ${body}`;
  } catch (error) {
    const { message } = error as Error;
    return message.includes('within a response') ? 'cut' : message.slice(0, 100);
  } finally {
    client.destroy();
  }
}

describe.each([
  { name: 'leaves', how: leaves },
  { name: 'ends', how: ends },
])('the upstream responds and $name', ({ how }) => {
  describe.each(SIZES)('within a body of %s', (_size, size, times) => {
    test.each(KINDS)('each %s request gets its own response', async (_kind, make) => {
      close = how;
      expect(await sendAll(make(size), times)).toEqual({ 'its own': times });
    });
  });
});

// A failed write consumes the reset's error, so the read side then looks as if the upstream had closed.
describe('the upstream responds and resets within a body that lasts until the close', () => {
  test.each(KINDS)('%s requests are cut or refused, never mixed up', async (_kind, make) => {
    close = resets;
    const { cut = 0, refused = 0, ...wrong } = await sendAll(make(1_000_000), 100);
    expect(wrong).toEqual({});
    expect(cut + refused).toBe(100);
  });
});
