// Whatever the upstream does, the client gets an answer or a cut.
// Each row is an upstream that misbehaves in one way. The client gets a response, or one that visibly breaks off, never
// a truncated one that looks complete. The upstream is asked once: a request that it may have processed is not sent
// again.
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { parseResponse } from '../support/http/response-parser.ts';
import { expectSlotsFree, untilAtRest } from '../support/proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { OK, type RawUpstream, type Script, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const SECRET = 'misbehaving-upstream-secret-0123456789';
const SLOTS = 2;
const DELIVERY =
  `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, '{"event":1}')}\r\n` +
  'Content-Length: 11\r\n\r\n{"event":1}';
const GET = 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const LENGTH_10 = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({
    config: {
      upstream: {
        url: upstream.url,
        connections: SLOTS,
        keepAlive: '30s',
        responseTimeout: '500ms',
        idleTimeout: '500ms',
        retryConnectFor: '1s',
      },
      routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
    },
    secrets: { current: SECRET },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});
afterEach(async () => {
  await untilAtRest(proxy);
  upstream.script(ok);
  await expectSlotsFree(proxy, { slots: SLOTS, target: '/open' });
  upstream.heads.length = 0;
});

const ok: Script = (socket) => socket.write(OK);
const says =
  (bytes: string): Script =>
  (socket) =>
    socket.write(Buffer.from(bytes, 'latin1'));
const saysAndEnds =
  (bytes: string): Script =>
  (socket) =>
    socket.end(Buffer.from(bytes, 'latin1'));
const reset = (socket: Socket) => socket.resetAndDestroy();
/** Resets only once the bytes have arrived, so the proxy has started to forward them. */
const saysAndResets =
  (bytes: string): Script =>
  (socket) =>
    socket.write(Buffer.from(bytes, 'latin1'), () => setImmediate(reset, socket));

async function ask(bytes: string): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(bytes);
  return client;
}

async function failures(route: string): Promise<Record<string, number>> {
  const metrics = await proxy.metrics();
  const causes = ['connect', 'timeout', 'reset', 'protocol'];
  const name = (cause: string) => `entrupy_proxy_upstream_failures_total{route="${route}",cause="${cause}"}`;
  return Object.fromEntries(causes.map((cause) => [cause, metrics.get(name(cause)) ?? Number.NaN]));
}

/**
 * Checks that it is counted once, under one cause. A request is recorded when it ends, which may be after the client
 * has its response.
 */
async function expectOneMore(cause: string, before: Record<string, number>): Promise<void> {
  await untilAtRest(proxy);
  expect(await failures('/notify')).toEqual({ ...before, [cause]: (before[cause] ?? 0) + 1 });
}

describe('before a response has started, the proxy answers', () => {
  test.each<[name: string, status: 502 | 504, cause: string, script: Script]>([
    ['accepts and never responds', 504, 'timeout', () => {}],
    ['sends half a head and no more', 504, 'timeout', says('HTTP/1.1 200 OK\r\nContent-Le')],
    ['sends interim responses and no more', 504, 'timeout', says('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')],
    ['sends half a head and closes', 502, 'reset', saysAndEnds('HTTP/1.1 200 OK\r\nContent-Le')],
    ['closes without a byte', 502, 'reset', (socket) => socket.end()],
    ['resets without a byte', 502, 'reset', reset],
    ['resets within the head', 502, 'reset', saysAndResets('HTTP/1.1 200 OK\r\nContent-Le')],
    ['speaks another protocol', 502, 'protocol', says('SSH-2.0-OpenSSH_9.6\r\n')],
    ['sends binary garbage', 502, 'protocol', says('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')],
    ['sends a body without a head', 502, 'protocol', says('{"status":"ok"}')],
    ['sends a status of four digits', 502, 'protocol', says('HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n')],
    ['sends a status of two digits', 502, 'protocol', says('HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n')],
    [
      'sends a header name with a space',
      502,
      'protocol',
      says('HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 0\r\n\r\n'),
    ],
    ['sends a NUL in a header', 502, 'protocol', says('HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n')],
    ['sends a folded header', 502, 'protocol', says('HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n')],
    [
      'frames a body twice',
      502,
      'protocol',
      says('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'),
    ],
    [
      'sends two lengths',
      502,
      'protocol',
      says('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc'),
    ],
    ['sends a length with a sign', 502, 'protocol', says('HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc')],
    ['sends a length that is no number', 502, 'protocol', says('HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc')],
    ['sends a head of 70 KiB', 502, 'protocol', says(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70 * 1024)}\r\n\r\n`)],
    ['sends endless header lines', 502, 'protocol', says(`HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(20_000)}`)],
    ['sends an invalid chunk size, at once', 502, 'protocol', says(`${CHUNKED}4\r\npart\r\nzz\r\n`)],
    ['sends an overlong chunk, at once', 502, 'protocol', says(`${CHUNKED}4\r\npartial\r\n0\r\n\r\n`)],
    [
      'sends an unsolicited 101',
      502,
      'protocol',
      says('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
    ],
    [
      'sends endless interim responses',
      502,
      'protocol',
      says('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(50_000)),
    ],
  ])('%s: %i, %s', async (_name, status, cause, script) => {
    const before = await failures('/notify');
    upstream.script(script);
    const client = await ask(DELIVERY);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([
      status,
      status === 504 ? '{"error":"gateway_timeout"}' : '{"error":"bad_gateway"}',
    ]);
    // A load balancer's retry should reach another pod.
    expect(response.lines).toContain('Connection: close');
    expect((await client.rest()).length).toBe(0);
    expect(upstream.heads.filter((head) => head.startsWith('POST'))).toHaveLength(1);
    await expectOneMore(cause, before);
  });
});

/** How a truncated response ended: never as something that a strict reader takes for complete. */
async function expectCut(client: RawClient, begins: string): Promise<string> {
  const rest = await client.rest();
  const text = rest.toString('latin1');
  expect(text.startsWith('HTTP/1.1 200 ')).toBe(true);
  expect(text).toContain(begins);
  expect(parseResponse(rest)).toBe(null);
  return text;
}

describe('after a response has started, it is cut', () => {
  test.each<[name: string, cause: string, script: Script]>([
    ['closes within a length', 'reset', saysAndEnds(`${LENGTH_10}part`)],
    ['resets within a length', 'reset', saysAndResets(`${LENGTH_10}part`)],
    ['stops within a length', 'timeout', says(`${LENGTH_10}part`)],
    ['closes between chunks', 'reset', saysAndEnds(`${CHUNKED}4\r\npart\r\n`)],
    ['closes within a chunk', 'reset', saysAndEnds(`${CHUNKED}9\r\npart`)],
    ['closes before the end of the trailers', 'reset', saysAndEnds(`${CHUNKED}4\r\npart\r\n0\r\nX: y\r\n`)],
    ['resets between chunks', 'reset', saysAndResets(`${CHUNKED}4\r\npart\r\n`)],
    ['stops between chunks', 'timeout', says(`${CHUNKED}4\r\npart\r\n`)],
    ['resets a body that ends by close', 'reset', saysAndResets('HTTP/1.1 200 OK\r\n\r\npart')],
    ['stops in a body that ends by close', 'timeout', says('HTTP/1.1 200 OK\r\n\r\npart')],
  ])('%s', async (_name, cause, script) => {
    const before = await failures('/notify');
    upstream.script(script);
    const client = await ask(DELIVERY);
    await expectCut(client, 'part');
    expect(upstream.heads).toHaveLength(1);
    await expectOneMore(cause, before);
  });

  test('sends an invalid chunk size, once the client has the first chunk', async () => {
    const before = await failures('/notify');
    upstream.script(says(`${CHUNKED}4\r\npart\r\n`));
    const client = await ask(DELIVERY);
    await client.bytes(CHUNKED.length + '4\r\npart\r\n'.length);
    for (const socket of upstream.sockets) socket.write('zz\r\n');
    expect((await client.rest()).toString()).not.toContain('0\r\n\r\n');
    await expectOneMore('protocol', before);
  });

  test('by a reset for HTTP/1.0, where the end of the connection ends the body', async () => {
    upstream.script(saysAndResets('HTTP/1.1 200 OK\r\n\r\npart'));
    const client = await ask('GET /open HTTP/1.0\r\nHost: h\r\n\r\n');
    const failed = new Promise((resolve) => client.socket.once('error', resolve));
    await client.rest();
    expect(client.socket.readableEnded).toBe(false);
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
  });
});

test('an unsolicited 100 goes through, and so does the response behind it', async () => {
  upstream.script(says(`HTTP/1.1 100 Continue\r\n\r\n${OK}`));
  const client = await ask(DELIVERY);
  const response = await client.response();
  expect([response.status, response.informational.map(({ status }) => status)]).toEqual([200, [100]]);
  client.destroy();
});

describe('odd but complete responses arrive complete, and none of their bytes reach the next request', () => {
  test.each<[name: string, request: string, script: Script, expected: [number, string]]>([
    ['more body than declared', GET, says('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyPOISON'), [200, 'body']],
    [
      'a second response behind the first',
      GET,
      says(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON`),
      [200, 'ok'],
    ],
    ['a body that ends by close', GET, saysAndEnds('HTTP/1.1 200 OK\r\n\r\nall of it'), [200, 'all of it']],
    ['HTTP/1.0', GET, saysAndEnds('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'), [200, 'ok']],
    ['a body with 204', GET, says('HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON'), [204, '']],
    ['a body with 304', GET, says('HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nPOISON'), [304, '']],
    [
      'a body to HEAD',
      GET.replace('GET', 'HEAD'),
      says('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON'),
      [200, ''],
    ],
    ['chunks to HEAD', GET.replace('GET', 'HEAD'), says(`${CHUNKED}6\r\nPOISON\r\n0\r\n\r\n`), [200, '']],
    [
      'no body and close',
      GET,
      saysAndEnds('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
      [200, ''],
    ],
    ['interim responses before it', GET, says(`${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10)}${OK}`), [200, 'ok']],
    [
      'a head byte by byte',
      GET,
      (socket) => {
        const bytes = [...OK];
        const next = () => {
          const byte = bytes.shift();
          if (byte !== undefined) socket.write(byte, () => setImmediate(next));
        };
        next();
      },
      [200, 'ok'],
    ],
    [
      'a framing line in the trailers',
      GET,
      says(`${CHUNKED}2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\nX-T: 1\r\n\r\n`),
      [200, 'ok'],
    ],
  ])('%s', async (_name, request, script, [status, body]) => {
    upstream.script(script);
    const client = await ask(request);
    const response = await client.response({ head: request.startsWith('HEAD') });
    expect([response.status, response.body.toString()]).toEqual([status, body]);
    expect(response.trailers.filter((line) => !line.startsWith('X-T'))).toEqual([]);
    upstream.script(says('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext'));
    await client.send(GET);
    expect((await client.response()).body.toString()).toBe('next');
    client.destroy();
  });

  test('a second response a moment later, on an idle socket', async () => {
    const closed = Promise.withResolvers<void>();
    upstream.script((socket) => {
      socket.once('end', closed.resolve).once('close', closed.resolve).write(OK);
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON'), 20);
    });
    const client = await ask(GET);
    expect((await client.response()).body.toString()).toBe('ok');
    await closed.promise;
    upstream.script(says('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext'));
    await client.send(GET);
    expect((await client.response()).body.toString()).toBe('next');
    client.destroy();
  });
});
