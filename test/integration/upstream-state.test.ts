// The status page tells whether a delivery would find the upstream: the connect includes the TLS handshake, and one
// failure alone, as on a busy machine, says nothing.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import { describe, expect, type TestContext } from 'vitest';
import type { ApiStatus } from '../../src/admin/advice/advice.ts';
import { Upstream } from '../../src/upstream/upstream.ts';
import { deliver } from '../support/deliveries/deliver.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { listening } from '../support/machine/listening.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';

const authority = createAuthority(ownDirectory(), 'authority');
const pair = authority.issue('app', { names: ['IP:127.0.0.1'] });

type OnFinished = TestContext['onTestFinished'];

async function portOf(server: Server, onTestFinished: OnFinished) {
  const { port, close } = await listening(server);
  onTestFinished(close);
  return port;
}

function tlsApp() {
  return createServer({ cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }, (_, response) => {
    response.end();
  });
}

function upstreamAt(url: string, onTestFinished: OnFinished): Upstream {
  const times = { connectTimeout: 10_000, keepAlive: 1000 };
  const tls = { ca: readFileSync(authority.caFile) };
  const upstream = new Upstream({ url, connections: 1, queue: 1, ...times, tls });
  onTestFinished(() => upstream.close());
  return upstream;
}

describe.concurrent('the state of the upstream', () => {
  test('one failed connect is none; two in a row are', async ({ onTestFinished }) => {
    const app = tlsApp();
    await portOf(app, onTestFinished);
    let failures = 1;
    // Ends the first connections before their TLS handshake, and hands the others to the app.
    const front = createNetServer((socket) => {
      socket.on('error', () => {});
      if (failures-- > 0) socket.resetAndDestroy();
      else app.emit('connection', socket);
    });
    const upstream = upstreamAt(`https://127.0.0.1:${await portOf(front, onTestFinished)}`, onTestFinished);
    expect(await upstream.failure(10_000)).toBe(null);
    failures = 2;
    expect(await upstream.failure(10_000)).toBe('ECONNRESET');
    expect(await upstream.failure(10_000)).toBe(null);
  });

  test('callers at one time share their connects', async ({ onTestFinished }) => {
    let connects = 0;
    const app = createNetServer((socket) => {
      connects++;
      socket.on('error', () => {}).resume();
    });
    const upstream = upstreamAt(`http://127.0.0.1:${await portOf(app, onTestFinished)}`, onTestFinished);
    const answers = await Promise.all([upstream.failure(10_000), upstream.failure(10_000)]);
    expect([answers, connects]).toEqual([[null, null], 1]);
  });

  // Polled: a connect that a slow machine cannot finish within a second counts as failed, too.
  const seen = (proxy: RunningProxy, wanted: Pick<ApiStatus['upstream'], 'reachable' | 'error'>) =>
    eventually(async () => {
      const { reachable, error } = (await proxy.status()).upstream;
      return { reachable, error };
    }, wanted);

  test('an upstream that is down is not reachable, with the code; certificates in use have dates', async ({
    start,
  }) => {
    const proxy = await start({ upstream: { url: NOBODY }, listen: { tls: pair } });
    await seen(proxy, { reachable: false, error: 'ECONNREFUSED' });
    const { advice, certificates } = await proxy.status();
    expect(advice[0]).toMatchObject({ id: 'app-down', state: 'failed' });
    expect(certificates).toEqual([
      { certificate: 'listen', file: pair.certFile, notBefore: expect.any(Number), notAfter: expect.any(Number) },
    ]);
    expect(new Date(certificates[0]?.notAfter ?? 0) > new Date()).toBe(true);
  });

  test('with a certificate we distrust it is unreachable; caFile is named', async ({ start, onTestFinished }) => {
    const url = `https://127.0.0.1:${await portOf(tlsApp(), onTestFinished)}`;
    const proxy = await start({ upstream: { url } });
    const line = await proxy.waitForLog(({ msg }) => msg === 'the upstream accepts no connections');
    expect(line.upstream_error).toMatch(/^(?:UNABLE_TO_VERIFY_LEAF_SIGNATURE|CONNECT_TIMEOUT)$/);
    await seen(proxy, { reachable: false, error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    await eventually(async () => (await proxy.status()).advice[0]?.remedy.includes('upstream.tls.caFile'), true);
    await change(proxy, () => ({ upstream: { url, tls: { caFile: authority.caFile } } }));
    await seen(proxy, { reachable: true, error: null });
    await eventually(async () => (await proxy.status()).advice[0]?.state, 'ok');
  });

  test('plain HTTP to a TLS port: the cause says what came back', async ({ start, onTestFinished }) => {
    const app = tlsApp();
    await portOf(app, onTestFinished);
    // Servers on OpenSSL, Node's among them, close the connection; others send an alert.
    const closes = (socket: Socket) => void app.emit('connection', socket);
    const alerts = (socket: Socket) =>
      void socket.on('error', () => {}).once('data', () => socket.end('\x15\x03\x01\x00\x02\x02\x46', 'latin1'));
    let server = closes;
    const front = createNetServer((socket) => server(socket));
    const proxy = await start({ upstream: { url: `http://127.0.0.1:${await portOf(front, onTestFinished)}` } });
    for (const [says, failure] of [
      [closes, 'reset'],
      [alerts, 'protocol'],
    ] as const) {
      server = says;
      expect(await deliver(proxy, 'a')).toBe(502);
      await proxy.waitForLog((line) => line.status === 502 && line.upstream_failure === failure, failure);
      const { advice } = await proxy.status();
      expect(advice[0]).toMatchObject({ state: 'failed', remedy: expect.stringMatching(/https:\/\//) });
    }
  });
});
