// The prototypes of the study on real sockets: what is verified goes on, what is not does not, and whatever the upstream does the
// client gets an answer or a cut.
import { createSecretKey } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rejecting, verifying } from '../../../../bench/moonshot/routes.ts';
import type { Listening } from '../../../../bench/moonshot/server.ts';
import { start } from '../../../../bench/moonshot/start.ts';
import { Keyring } from '../../../../src/core/keyring.ts';
import { forged, SECRET, signatureLine, signed } from '../../../conformance/wire-case.ts';
import { type LenientUpstream, startLenientUpstream } from '../../../support/lenient-upstream.ts';
import { exchange, openClient } from '../../../support/raw-client.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe.each(['undici', 'raw'] as const)('by way of %s', (way) => {
  let upstream: LenientUpstream;
  let prototype: Listening;
  beforeEach(async () => {
    upstream = await startLenientUpstream();
    const key = createSecretKey(SECRET, 'utf8');
    prototype = await start({
      way,
      port: 0,
      upstream: upstream.url,
      routes: [verifying({ path: '/notify' })],
      unmatched: rejecting({ path: 'unmatched' }),
      keyring: new Keyring([{ id: 'current', key, notBefore: null, notAfter: null }]),
    });
  });
  afterEach(async () => {
    await prototype.close();
    await upstream.close();
  });

  it('forwards what is signed and nothing else', async () => {
    expect((await exchange(prototype.port, signed('abc'))).status).toBe(200);
    for (const wrong of [forged('abc'), signed('abc').replace(/abc$/, 'abd')]) {
      const { status, body } = await exchange(prototype.port, wrong);
      expect([status, body.toString()]).toEqual([401, '{"error":"unauthorized"}']);
    }
    expect(upstream.list()).toEqual(['POST /notify abc']);
  });

  it('answers 502 where the upstream gives none, and goes on', async () => {
    upstream.answer(({ body }) => (body.toString() === 'cut' ? 'cut' : OK));
    const client = await openClient({ port: prototype.port });
    await client.send(signed('cut') + signed('abc'));
    expect((await client.response()).status).toBe(502);
    expect((await client.response()).status).toBe(200);
    client.destroy();
    expect(upstream.list()).toEqual(['POST /notify cut', 'POST /notify abc']);
  });

  it.each([
    ['a length', 'Content-Length: 9\r\n\r\nhalf'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('cuts a response of %s that does not come whole', async (_, rest) => {
    upstream.answer(() => (socket) => socket.end(`HTTP/1.1 200 OK\r\n${rest}`));
    const client = await openClient({ port: prototype.port });
    await client.send(signed('abc'));
    await expect(client.response()).rejects.toThrow(/within a response/);
    client.destroy();
  });

  it('never answers a request with what came behind the response before', async () => {
    upstream.answer(({ body }) =>
      body.toString() === 'first' ? `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : OK,
    );
    const client = await openClient({ port: prototype.port });
    for (const body of ['first', 'second', 'third']) {
      await client.send(signed(body));
      const response = await client.response();
      if (response.status === 200) expect(response.body.toString()).toBe('ok');
      else expect(response.status).toBe(502);
    }
    client.destroy();
  });

  it('gives all of a large response', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 'x');
    upstream.answer(() => (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\n`);
      socket.write(large);
    });
    expect((await exchange(prototype.port, signed('abc'))).body.equals(large)).toBe(true);
  });
});

it('raw sockets keep every line in its place and to the byte', async () => {
  const upstream = await startLenientUpstream();
  const key = createSecretKey(SECRET, 'utf8');
  const prototype = await start({
    way: 'raw',
    port: 0,
    upstream: upstream.url,
    routes: [verifying({ path: '/notify' })],
    unmatched: rejecting({ path: 'unmatched' }),
    keyring: new Keyring([{ id: 'current', key, notBefore: null, notAfter: null }]),
  });
  const lines = ['content-LENGTH:3', signatureLine('abc'), 'X-A: \t1 ', 'hOST: a', 'x-a: 2'];
  const head = `POST /notify?q HTTP/1.1\r\n${lines.join('\r\n')}`;
  await exchange(prototype.port, `${head}\r\n\r\nabc`);
  await exchange(prototype.port, `${head}\r\nTE: x\r\n\r\nabc`);
  expect(upstream.seen.map(({ raw }) => raw.toString('latin1'))).toEqual([`${head}\r\n\r\nabc`, `${head}\r\n\r\nabc`]);
  await prototype.close();
  await upstream.close();
});
