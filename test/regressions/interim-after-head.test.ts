// An interim response never comes after its head.
// Bug, found by the wire fuzzer: it pipelined two deliveries, the second with `Expect: 100-continue`, and once in 3,600
// times read `HTTP/1.1 200 OK … HTTP/1.1 100 Continue … ok`. The body of the second response began with the interim
// response. node keeps what is written on a queued response, and puts the head before it when the first piece of body
// is a Buffer. A client would read `HT` as the body and the rest as the next response.
// Requests are now answered one at a time, so no response is queued. This test shows that none is ever mixed up.
import type { Socket } from 'node:net';
import { expect } from 'vitest';
import { signed } from '../conformance/wire-case.ts';
import { sendTo } from '../support/http/raw-client.ts';
import { get } from '../support/http/requests.ts';
import { test } from '../support/proxy/proxied.ts';
import type { LenientUpstream, SeenRequest } from '../support/upstream/lenient-upstream.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n';

/** Answers the first request once the client has sent the second. */
function holdTheFirst(upstream: LenientUpstream, second: string): () => void {
  let held: Socket | undefined;
  upstream.answer((request: SeenRequest) => {
    if (request.target === '/open/first') return (socket) => (held = socket);
    return second;
  });
  return () => held?.write(OK);
}

test.for([
  ['an interim response of the upstream', HINTS + OK, get('/open/second'), 103],
  ['our own 100 Continue', OK, signed('abc', { lines: ['Expect: 100-continue'] }), 100],
] as const)('%s, on the second of two pipelined requests', async ([, answer, second, interim], { start, lenient }) => {
  const routes = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }];
  const proxy = await start({ upstream: { url: lenient.url }, routes });
  const answerFirst = holdTheFirst(lenient, answer);
  const client = await sendTo(proxy, get('/open/first') + second);
  await expect.poll(() => lenient.list()).toHaveLength(1);
  answerFirst();
  expect((await client.response()).body.toString()).toBe('ok');
  const { informational, body } = await client.response();
  expect([informational.map(({ status }) => status), body.toString()]).toEqual([[interim], 'ok']);
  client.destroy();
});
