// An early answer arrives, however much is still being sent.
// An upstream that responds and closes while the body is still being sent, as one does that refuses it for its size. A
// failed write is not the end: the response has already arrived and has to be read first. Every one must arrive.
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { openClient } from '../support/http/raw-client.ts';
import { delivery, inChunks, post, request } from '../support/http/requests.ts';
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

/** The whole of a request with a body of this size, and with this line. */
type Made = (size: number, line: string) => Buffer;

const bodyOf = (size: number) => '{"event":"large"}'.repeat(Math.ceil(size / 17)).slice(0, size);
const unsigned =
  (target: string): Made =>
  (size, line) =>
    Buffer.from(post(bodyOf(size), { target, lines: [line] }));
const KINDS: readonly (readonly [string, Made])[] = [
  ['verified', (size, line) => Buffer.from(delivery(bodyOf(size), SECRET, { lines: [line] }))],
  ['forwarded', unsigned('/open')],
  ['reported', unsigned('/report')],
  [
    'forwarded in chunks',
    (size, line) => {
      const head = ['POST /open HTTP/1.1', 'Host: h', line, 'Transfer-Encoding: chunked'];
      return Buffer.from(request(head, inChunks(bodyOf(size), CHUNK)));
    },
  ],
];

/** Sends it repeatedly, two at a time; counts the results. */
async function sendAll(bytesOf: (line: string) => Buffer, times: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  let next = 0;
  const sender = async () => {
    while (next++ < times) {
      const became = await send(bytesOf(`X-Id: ${next}`), next);
      counts[became] = (counts[became] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  for (const socket of on.upstream.sockets) socket.destroy();
  await untilAtRest(on.proxy);
  return counts;
}

/** The result of one request, in a line. */
async function send(bytes: Buffer, id: number): Promise<string> {
  const client = await openClient(on.proxy);
  try {
    // Not awaited: the response arrives before everything is sent.
    client.send(bytes).catch(() => {});
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
      expect(await sendAll((line) => make(size, line), times)).toEqual({ 'its own': times });
    });
  });
});

// A failed write consumes the reset's error, so the read side then looks as if the upstream had closed.
describe('the upstream responds and resets within a body that lasts until the close', () => {
  test.each(KINDS)('%s requests are cut or refused, never mixed up', async (_kind, make) => {
    close = resets;
    const { cut = 0, refused = 0, ...wrong } = await sendAll((line) => make(1_000_000, line), 100);
    expect(wrong).toEqual({});
    expect(cut + refused).toBe(100);
  });
});
