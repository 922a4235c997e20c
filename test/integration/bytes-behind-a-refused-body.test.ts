// A refusal may go out before the rest of its request's body. What comes in one read with the end of that body belongs
// to the next request, however much it is: a delivery must not be swallowed, nor the middle of it taken for a request.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const SECRET = 'a-refused-body-0123456789abcdef';
const REFUSED_BODY = 40_000;
const REFUSED_HEAD = `POST /notify HTTP/1.1\r\nHost: h\r\nContent-Length: ${REFUSED_BODY}\r\n\r\n`;

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeEach(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] },
    secrets: { current: SECRET },
  });
});
afterEach(async () => {
  await proxy?.stop();
  await upstream?.close();
});

const signed = (body: string) => delivery(body, SECRET);

const bodies = () => upstream.seen.map(({ body }) => body.toString('latin1'));

test.each([200, 17_000, 65_000, 100_000])(
  'a delivery of %i bytes right behind the rest of a refused body is delivered',
  async (size) => {
    const client = await openClient({ port: proxy.port });
    const body = 'd'.repeat(size);
    await client.send(REFUSED_HEAD + 'r'.repeat(100));
    expect((await client.response()).status).toBe(401);
    await client.send('r'.repeat(REFUSED_BODY - 100) + signed(body));
    expect((await client.response()).status).toBe(200);
    expect(bodies()).toEqual([body]);
    client.destroy();
  },
);

test('a request within a delivery behind a refused body is never one of its own', async () => {
  const client = await openClient({ port: proxy.port });
  const hidden = 'GET /open/hidden HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(1500);
  await client.send(REFUSED_HEAD + 'r'.repeat(100));
  expect((await client.response()).status).toBe(401);
  await client.send('r'.repeat(REFUSED_BODY - 100) + signed(hidden));
  expect((await client.response()).status).toBe(200);
  expect(upstream.seen.map(({ target }) => target)).toEqual(['/notify']);
  expect(bodies()).toEqual([hidden]);
  client.destroy();
});

test('requests that wait for their turn are served, however much comes behind them meanwhile', async () => {
  const client = await openClient({ port: proxy.port });
  const last = 'l'.repeat(30_000);
  await client.send(signed('1') + signed('2'));
  await client.send(signed(last));
  const statuses: number[] = [];
  for (let closes = false; !closes && statuses.length < 3; ) {
    const response = await client.responseOrClose();
    if (response === null) break;
    statuses.push(response.status);
    closes = values(response.lines, 'connection').includes('close');
  }
  // Bytes beyond maxHeader behind an unanswered request may be dropped, but then its answer says that nothing follows.
  expect(statuses).toEqual(upstream.seen.map(() => 200));
  expect(statuses.length).toBeGreaterThanOrEqual(1);
  if (statuses.length < 3) await client.rest();
  client.destroy();
});

test('bytes dropped after the answer went out end the connection in an orderly way', async () => {
  const sockets: import('node:net').Socket[] = [];
  const asked = Promise.withResolvers<void>();
  upstream.answer(() => (socket) => {
    sockets.push(socket);
    asked.resolve();
  });
  const client = await openClient({ port: proxy.port });
  await client.send(signed('first'));
  await asked.promise;
  // The answer's head goes out without `close`, then too much comes, then the answer ends.
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
  await client.bytes(39);
  // More than socket buffers hold, so the proxy has read, and dropped, some of it.
  await client.send(signed('s'.repeat(24_000_000)));

  sockets[0]?.write('k');
  expect((await client.response()).body.toString()).toBe('ok');
  expect((await client.rest()).length).toBe(0);
  expect(bodies()).toEqual(['first']);
});
