// Whether the upstream accepts connections, asked by probes that must have their answer within a second.
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TlsContents } from '../../../src/wire/tls-file-contents.ts';
import { type Listening, listening } from '../../support/machine/listening.ts';
import { makeIdentity } from '../../support/tls/x509.ts';
import { send, upstreamAt } from './fixtures.ts';

let server: Server;
let at: Listening;
let accepted: Socket[];
beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => accepted.push(socket.on('error', () => {})));
  at = await listening(server);
});
afterEach(() => at.close());

/** An upstream that speaks TLS, which the server does not. */
const overTls = (tls: TlsContents | null = null) => upstreamAt(`https://127.0.0.1:${at.port}`, tls);

test('a connect without an answer gets another beside it, both end in time, and all who ask share the two', async () => {
  const upstream = overTls();
  const [code, other] = await Promise.all([upstream.connectFailure(2000), upstream.connectFailure(2000)]);
  expect(code).toMatch(/TIMEOUT|TIMEDOUT/);
  expect(other).toBe(code);
  await expect.poll(() => accepted.length).toBe(2);
});

test.each([
  ['the second connect counts where the first has no answer', 1],
  ['the second connect counts where the first has failed', 1],
  ['the first one counts where its handshake ends after the second has begun', 0],
])('%s', async (title, answered) => {
  const issuer = makeIdentity({ name: 'authority' });
  const { certificate, key } = makeIdentity({ name: 'app', issuer, names: ['IP:127.0.0.1'] });
  const secure = createTls({ key, cert: certificate });
  server.on('connection', () => {
    if (accepted.length === 1 && title.endsWith('failed')) accepted[0]?.resetAndDestroy();
    if (accepted.length === 2) secure.emit('connection', accepted[answered]);
  });
  const upstream = overTls({ ca: Buffer.from(issuer.certificate) });
  expect(await upstream.connectFailure(10_000)).toBe(null);
  expect(accepted.length).toBe(2);
});

test('a TLS handshake that the upstream ends is a connect that failed: no byte of the request was sent', async () => {
  const upstream = overTls();
  server.on('connection', (socket: Socket) => socket.end());
  const { failure } = await send(upstream, {}).end;
  expect(failure).toMatchObject({ cause: 'connect', code: 'ECONNRESET' });
});

test('the dates of a certificate are known where they are why the upstream accepts no connections', async () => {
  const issuer = makeIdentity({ name: 'authority' });
  const [from, to] = [new Date('2020-01-01'), new Date('2020-02-01')];
  const { certificate, key } = makeIdentity({ name: 'app', issuer, names: ['IP:127.0.0.1'], from, to });
  const secure = createTls({ key, cert: [certificate, issuer.certificate].join('\n') });
  secure.on('tlsClientError', () => {});
  server.on('connection', (socket: Socket) => secure.emit('connection', socket));
  const upstream = overTls({ ca: Buffer.from(issuer.certificate) });
  expect(await upstream.connectFailure(10_000)).toBe('CERT_HAS_EXPIRED');
  expect(upstream.certificate).toEqual({ notBefore: from.getTime(), notAfter: to.getTime() });
});
