// An answer before a close survives the bytes behind it.
// Bug, found by the wire fuzzer: it sent a refused request that closes (HTTP/1.0, or `Connection: close`) with more
// bytes behind it, and got nothing. The socket was closed with unread bytes, and the reset overtook the response (RFC
// 9112 9.6).
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { forged, signed } from '../conformance/wire-case.ts';
import { get } from '../support/http/requests.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const on = shared(startLenientUpstream, { routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }] });

const CLOSE = ['Connection: close'];

test.each([
  ['a refusal to HTTP/1.0', forged('x').replace('HTTP/1.1', 'HTTP/1.0'), 401],
  ['a refusal with Connection: close', forged('x', { lines: CLOSE }), 401],
  ['an accepted delivery with Connection: close', signed('x', { lines: CLOSE }), 200],
  ['a forwarded request with Connection: close', get('/open', CLOSE), 200],
  ['a refusal by the gate', get('/open#x'), 400],
])('%s arrives before the close', async (_name, request, status) => {
  const before = on.upstream.seen.length;
  // A client that keeps writing after the other side has closed, like one that reads only after it has written all.
  const socket = connect({ port: on.proxy.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  const errors: string[] = [];
  socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message));
  socket.write(`${request}\x01 no request`, 'latin1');
  await once(socket, 'end');
  // Bytes that arrive at a closed socket cause a reset; the next write or the end would fail.
  for (let count = 0; count < 20; count++) {
    await new Promise((resolve) => socket.write('more of it', () => setImmediate(resolve)));
  }
  socket.end();
  if (!socket.closed) await once(socket, 'close');
  expect(errors).toEqual([]);
  expect(received).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(received.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect(received).toMatch(/^connection: close\r$/im);
  expect(on.upstream.seen.length - before).toBe(status === 200 ? 1 : 0);
});
