// A head that goes out before its body keeps its bytes.
// Bug: node writes a head in latin1 when it goes out with the first piece of body, but in the socket's default
// encoding, UTF-8, when it is flushed alone. Each byte from 0x80 up became two.
import { expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';

test('a response whose body comes after its head', async () => {
  const upstream = await startRawUpstream();
  const proxy = await startProxy({
    config: { upstream: { url: upstream.url }, secrets: [], unmatched: 'forward' },
  });
  const client = await openClient({ port: proxy.port });
  try {
    const head = Promise.withResolvers<() => void>();
    upstream.script((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX-Name: \xe9\xff\r\nContent-Length: 2\r\n\r\n', 'latin1');
      head.resolve(() => socket.write('ok'));
    });
    await client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const finish = await head.promise;
    await client.bytes('HTTP/1.1 200 OK'.length);
    finish();
    expect((await client.response()).lines).toContain('X-Name: \xe9\xff');
  } finally {
    client.destroy();
    await proxy.stop();
    await upstream.close();
  }
});
