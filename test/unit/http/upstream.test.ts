// No permit, no upstream: held at run time too, for what was cast past the compiler.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Permit, permitForward, permitUpgrade } from '../../../src/core/permit.ts';
import { Upstream } from '../../../src/http/upstream.ts';
import { type RawUpstream, startRawUpstream } from '../../support/raw-upstream.ts';
import { forward } from '../core/fixtures.ts';

const LIVE = forward('/live', { upgrade: ['websocket'] });

let server: RawUpstream;
let upstream: Upstream;
beforeEach(async () => {
  server = await startRawUpstream();
  const times = { connectTimeout: 1000, retryConnectFor: 0, keepAlive: 1000 };
  upstream = new Upstream({ url: server.url, connections: 1, queue: 1, ...times, maxHeader: 16_384, tls: null });
});
afterEach(async () => {
  await upstream.close();
  await server.close();
});

test.each([
  ['none', null],
  ['one that is only shaped like a permit', { ...permitUpgrade(LIVE), tunnel: true }],
  ['one to forward a request', permitForward(LIVE)],
])('no socket for a tunnel with %s', async (_what, permit) => {
  expect(() => upstream.connect(permit as Permit, () => {})).toThrow('no permit');
  expect(await upstream.accepts(1000)).toBe(true);
  expect(server.heads).toEqual([]);
});

test('a socket for a tunnel with a permit for one', async () => {
  const connected = Promise.withResolvers<Error | null>();
  const socket = upstream.connect(permitUpgrade(LIVE) as Permit, (...[error]) => connected.resolve(error));
  expect(await connected.promise).toBe(null);
  expect(socket.readyState).toBe('open');
});
