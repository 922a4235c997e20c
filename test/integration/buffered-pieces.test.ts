// The memory of a streamed piece is freed as soon as it is sent. Freed earlier, while the kernel still has to take it,
// the other side would get other bytes. Each word of the body is its own position, so no other piece can pass for it.
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { listening } from '../support/machine/listening.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';

/** More than the kernel takes on all four sockets together. */
const BODY = Buffer.from(new Uint32Array(16 * 1024 * 1024).map((_, at) => at).buffer);

const on = shared(
  async () => {
    const server = createServer((incoming, response) => {
      response.setHeader('content-length', BODY.length);
      incoming.pipe(response);
    });
    const { port, close } = await listening(server);
    return { url: `http://127.0.0.1:${port}`, close };
  },
  { unmatched: 'forward' },
);

test('in chunks one way, and with a length the other', async () => {
  const headers = { 'Transfer-Encoding': 'chunked' };
  const sending = request({ port: on.proxy.port, method: 'POST', headers, agent: false });
  sending.end(BODY);
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  // The client does not read, so every other side comes to wait for it.
  let before = -1;
  const stands = () => {
    const { bytesWritten = 0, writableLength = 0 } = sending.socket ?? {};
    const sent = bytesWritten - writableLength;
    const same = sent === before;
    before = sent;
    return same;
  };
  await expect.poll(stands, { interval: 200 }).toBe(true);
  expect((await buffer(response)).equals(BODY)).toBe(true);
  await untilAtRest(on.proxy);
});
