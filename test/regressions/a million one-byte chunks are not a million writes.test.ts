// Each chunk of a streamed body went on by itself, since promises resolve between two calls of node's parser: a million
// chunks of one byte took 8 s of the only thread there is, and every other client waited for them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient } from '../support/raw-client.ts';
import { OK, type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts';

const CHUNKS = 50_000;

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, unmatched: 'forward' },
    secrets: { current: 'a-million-chunks-0123456789abcdef0123' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test('they are gathered, and arrive whole', async () => {
  const arrived = new Promise<string>((resolve) => {
    upstream.script((socket, { body }) => {
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
  const client = await openClient({ port: proxy.port });
  await client.send('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  await client.send(`${'1\r\nx\r\n'.repeat(CHUNKS)}0\r\n\r\n`);
  expect((await client.response()).status).toBe(200);
  const text = await arrived;
  expect(text.match(/x/g)).toHaveLength(CHUNKS);
  expect(text.match(/^[0-9a-f]+\r$/gm)?.length).toBeLessThan(CHUNKS / 100);
  client.destroy();
});
