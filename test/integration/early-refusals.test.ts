// A refusal before the body has been read must reach the client all the same: the proxy closes the connection only after
// the client has had time to read.
import { describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const on = shared(startStreamingUpstream, { routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] });

const signed = (framing: string) =>
  `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, '')}\r\n${framing}\r\n\r\n`;

describe('an early refusal reaches a client that is still writing 12 MB', () => {
  const unsigned = (framing: string) => `POST /notify HTTP/1.1\r\nHost: h\r\n${framing}\r\n\r\n`;
  // More than both kernels take. The proxy reads and drops for two seconds, in which a busy client must have written it.
  const BIG = 12_000_000;
  test.each([
    ['401, with a length', unsigned(`Content-Length: ${BIG}`), 401, ''],
    ['401, in chunks', unsigned('Transfer-Encoding: chunked'), 401, `${BIG.toString(16)}\r\n`],
    ['413, declared', signed(`Content-Length: ${BIG}`), 413, ''],
    ['413, counted', signed('Transfer-Encoding: chunked'), 413, `${BIG.toString(16)}\r\n`],
    ['400, the gate', unsigned(`Content-Length: ${BIG}\r\nX_Y: 1`), 400, ''],
    ['400, the parser, in the head', `POST /notify HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n`, 400, ''],
    ['400, the parser, in the body', signed('Transfer-Encoding: chunked'), 400, 'zz\r\n'],
    [
      '400, the parser, in a streamed body',
      'POST /open/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'zz\r\n',
    ],
    ['431', `POST /notify HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20 * 1024)}\r\n\r\n`, 431, ''],
    ['405', unsigned(`Content-Length: ${BIG}`).replace('POST', 'PUT'), 405, ''],
  ])('%s: the answer arrives whole', async (_name, head, status, before) => {
    const client = await openClient(on.proxy);
    const failed: unknown[] = [];
    client.socket.on('error', (error) => failed.push(error));
    // Most client libraries write the whole body before they read the response.
    client.socket.pause();
    await client.send(head + before);
    const piece = Buffer.alloc(1_000_000, 'x');
    for (let sent = 0; sent < BIG; sent += piece.length) await client.send(piece);
    expect(failed).toEqual([]);
    client.socket.resume();
    const response = await client.response();
    expect(response.status).toBe(status);
    client.end();
    await client.rest();
    expect(failed).toEqual([]);
    await untilAtRest(on.proxy);
  });

  test('a client that keeps writing is cut in the end', async () => {
    const client = await sendTo(on.proxy, unsigned('Transfer-Encoding: chunked'));
    expect((await client.response()).status).toBe(401);
    const drip = setInterval(() => client.socket.write('1\r\nx\r\n'), 50);
    await client.rest().finally(() => clearInterval(drip));
    await untilAtRest(on.proxy);
  });
});
