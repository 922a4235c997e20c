// A head that goes out before its body keeps its bytes.
// Bug: node writes a head in latin1 when it goes out with the first piece of body, but in the socket's default
// encoding, UTF-8, when it is flushed alone. Each byte from 0x80 up became two.
import { expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { test } from '../support/proxy/proxied.ts';

test('the head of a response keeps its bytes when its body comes after it', async ({ start, raw }) => {
  const proxy = await start({ upstream: { url: raw.url }, unmatched: 'forward' });
  const head = Promise.withResolvers<() => void>();
  raw.script((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX-Name: \xe9\xff\r\nContent-Length: 2\r\n\r\n', 'latin1');
    head.resolve(() => socket.write('ok'));
  });
  const client = await sendTo(proxy, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  const finish = await head.promise;
  await client.bytes('HTTP/1.1 200 OK'.length);
  finish();
  expect((await client.response()).lines).toContain('X-Name: \xe9\xff');
  client.destroy();
});
