// A million one-byte chunks are not a million writes.
// Bug: each chunk of a streamed body was written on its own, since promises resolve between two calls of node's parser.
// A million one-byte chunks took 8 s of the only thread, and every other client waited.
import { expect, test } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const CHUNKS = 50_000;

const on = shared(startRawUpstream, { unmatched: 'forward' });

test('they are coalesced, and arrive complete', async () => {
  const arrived = new Promise<string>((resolve) => {
    on.upstream.script((socket, { body }) => {
      let text = body.toString('latin1');
      const look = () => {
        if (!text.endsWith('\r\n0\r\n\r\n')) return;
        resolve(text);
        socket.write(OK);
      };
      socket.on('data', (piece) => {
        text += piece.toString('latin1');
        look();
      });
      look();
    });
  });
  const client = await sendTo(on.proxy, 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  await client.send(`${'1\r\nx\r\n'.repeat(CHUNKS)}0\r\n\r\n`);
  expect((await client.response()).status).toBe(200);
  const text = await arrived;
  expect(text.match(/x/g)).toHaveLength(CHUNKS);
  expect(text.match(/^[0-9a-f]+\r$/gm)?.length).toBeLessThan(CHUNKS / 100);
  client.destroy();
});
