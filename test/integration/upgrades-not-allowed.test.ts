// An upgrade leaves HTTP and with it every check. Only a WebSocket handshake on a route that lists it is allowed. Any
// other request with an Upgrade header is handled as an ordinary request, and the header is dropped with the other
// hop-by-hop headers.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { request as written } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { AGREED, handshake } from '../support/websocket/client.ts';

const on = shared(startLenientUpstream, {
  unmatched: 'reject',
  routes: [
    { path: '/notify' },
    { path: '/get', methods: ['GET'] },
    { path: '/watch', mode: 'report' },
    { path: '/plain', action: 'forward' },
    { path: '/live', action: 'forward', upgrade: ['websocket'] },
    { path: '/post', action: 'forward', upgrade: ['websocket'], methods: ['POST'] },
    { path: '/ws/*', action: 'forward', upgrade: ['websocket'] },
  ],
});
let client: RawClient;
beforeEach(async () => {
  on.upstream.seen.length = 0;
  // It accepts every upgrade, of any protocol.
  on.upstream.answer(({ lines }) => (lines.some((line) => /^upgrade\s*:/i.test(line)) ? AGREED : OK));
  client = await openClient(on.proxy);
});
afterEach(() => client?.destroy());
/** Nothing that the upstream received could start a tunnel. */
function expectNoUpgradeSeen(): void {
  const lines = on.upstream.seen.flatMap(({ lines }) => lines);
  expect(lines.filter((line) => /^(?:upgrade|connection)\s*:.*(?:upgrade|websocket|h2c)/i.test(line))).toEqual([]);
}

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'];

/** As a client writes it. */
const request = (start: string, lines: readonly string[], body = '') => written([start, 'Host: h', ...lines], body);

const signed = (body: string) => [`Entrupy-Signature: ${sign(SECRET, body)}`, `Content-Length: ${body.length}`];

describe('on a verified route', () => {
  test.each([
    ['an unsigned POST', request('POST /notify HTTP/1.1', [...UPGRADE, 'Content-Length: 2'], '{}'), 401],
    ['an unsigned POST without a body', request('POST /notify HTTP/1.1', UPGRADE), 401],
    ['a POST signed for another body', request('POST /notify HTTP/1.1', [...UPGRADE, ...signed('{ }')], '{}.'), 401],
    ['a chunked POST', request('POST /notify HTTP/1.1', [...UPGRADE, 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 401],
    ['a handshake', handshake('/notify'), 405],
    ['a signed handshake', handshake('/notify', { lines: signed('').slice(0, 1) }), 405],
    ['an unsigned handshake where GET is allowed', handshake('/get'), 401],
    ['a handshake on a route that rejects', handshake('/nowhere'), 404],
    ['a handshake on a route for another method', handshake('/post'), 405],
    // A target that a server could read as a verified route never matches the route that allows upgrades.
    ['a handshake through an open route', handshake('/ws/%2e%2e/notify'), 404],
    ['a handshake with an encoded slash', handshake('/ws/..%2fnotify'), 404],
    ['a handshake with a re-routing header', handshake('/live', { lines: ['X-Original-URL: /notify'] }), 400],
  ])('$0 is refused: $2', async (_what, bytes, status) => {
    await client.send(bytes);
    expect((await client.response()).status).toBe(status);
    expect(on.upstream.list()).toEqual([]);
  });

  test.each([
    ['a signed POST', request('POST /notify HTTP/1.1', [...UPGRADE, ...signed('{}')], '{}'), 'POST /notify {}'],
    ['a signed handshake where GET is allowed', handshake('/get', { lines: signed('').slice(0, 1) }), 'GET /get'],
    ['a handshake on a report route', handshake('/watch'), 'GET /watch'],
  ])('$0 is forwarded without its Upgrade', async (_what, bytes, seen) => {
    await client.send(bytes);
    expect((await client.response()).status).toBe(200);
    expect(on.upstream.list()).toEqual([seen]);
    expectNoUpgradeSeen();
  });
});

describe('on a forward route', () => {
  const spelt = (upgrade: string) => handshake('/live').replace('Upgrade: websocket', upgrade);
  test.each([
    ['without upgrade in its configuration', handshake('/plain')],
    ['HTTP/1.0', handshake('/live', { start: 'GET /live HTTP/1.0' })],
    ['POST', handshake('/live', { start: 'POST /live HTTP/1.1' })],
    ['HEAD', handshake('/live', { start: 'HEAD /live HTTP/1.1' })],
    ['h2c', spelt('Upgrade: h2c')],
    ['websocket, h2c', spelt('Upgrade: websocket, h2c')],
    ['h2c in a line of its own', spelt('Upgrade: websocket\r\nUpgrade: h2c')],
    ['websocket with a version', spelt('Upgrade: websocket/13')],
    [
      'a Connection that does not name Upgrade',
      handshake('/live').replace('Connection: Upgrade', 'Connection: upgraded'),
    ],
    ['a body of length 0', handshake('/live', { lines: ['Content-Length: 0'] })],
    ['a body', `${handshake('/live', { lines: ['Content-Length: 5'] })}GET /`],
    ['a chunked body', `${handshake('/live', { lines: ['Transfer-Encoding: chunked'] })}0\r\n\r\n`],
    ['an expectation', handshake('/live', { lines: ['Expect: 100-continue'] })],
  ])('%s: forwarded without its Upgrade', async (what, bytes) => {
    await client.send(bytes);
    expect((await client.response({ head: what === 'HEAD' })).status).toBe(200);
    expect(on.upstream.seen).toHaveLength(1);
    expectNoUpgradeSeen();
  });
});

describe('among pipelined requests', () => {
  test.each([
    ['a handshake', '', 'at once'],
    ['a handshake', '', 'later'],
    ['an upgrade with a body', 'body', 'at once'],
    ['an upgrade with a body', 'body', 'later'],
  ])(
    'the request behind %s that is not allowed (%s), sent %s, is answered next on the same connection',
    async (_what, body, when) => {
      const held = Promise.withResolvers<() => void>();
      on.upstream.answer(() => (socket) => held.resolve(() => socket.write(OK)));
      const delivery = request('POST /notify HTTP/1.1', signed('ok'), 'ok');
      const lines = body === '' ? [] : [`Content-Length: ${body.length}`];
      await client.send(handshake('/plain', { lines }) + body + (when === 'at once' ? delivery : ''));
      const finish = await held.promise;
      if (when === 'later') await client.send(delivery);
      on.upstream.answer(() => OK);
      finish();
      const response = await client.response();
      expect([response.status, values(response.lines, 'connection')]).toEqual([200, []]);
      await client.send(request('GET /plain HTTP/1.1', ['Connection: close']));
      expect((await client.response()).status).toBe(200);
      expect((await client.response()).status).toBe(200);
      expect(on.upstream.list()).toEqual([`GET /plain ${body}`.trim(), 'POST /notify ok', 'GET /plain']);
      expectNoUpgradeSeen();
    },
  );

  test('a handshake behind a request in flight waits for that response', async () => {
    const held = Promise.withResolvers<() => void>();
    on.upstream.answer(() => (socket) => held.resolve(() => socket.write(OK)));
    await client.send(request('GET /plain HTTP/1.1', []) + handshake('/live'));
    const finish = await held.promise;
    expect(on.upstream.list()).toEqual(['GET /plain']);
    on.upstream.answer(() => 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n');
    finish();
    expect((await client.response()).status).toBe(200);
    expect((await client.response()).status).toBe(426);
    expect(on.upstream.list()).toEqual(['GET /plain', 'GET /live']);
  });

  test('bytes behind a handshake that the upstream refuses never reach it', async () => {
    on.upstream.answer(() => 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n');
    const forged = request('POST /notify HTTP/1.1', ['Content-Length: 2'], '{}');
    await client.send(handshake('/live') + forged);
    expect((await client.response()).status).toBe(426);
    await client.send(forged);
    expect((await client.rest()).length).toBe(0);
    expect(on.upstream.list()).toEqual(['GET /live']);
    expect(on.upstream.leftovers()).toEqual([]);
  });
});
