// No permit, no upstream: enforced at run time too, for values cast past the compiler.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Permit, permitForward, permitUpgrade } from '../../../src/core/permit.ts';
import { ByteBudget } from '../../../src/downstream/budget.ts';
import type { Exchange } from '../../../src/downstream/exchange.ts';
import { UpstreamExchange } from '../../../src/upstream/exchange.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { type RawUpstream, startRawUpstream } from '../../support/raw-upstream.ts';
import { forward } from '../core/fixtures.ts';

const LIVE = forward('/live', { upgrade: ['websocket'] });

let server: RawUpstream;
let upstream: Upstream;
beforeEach(async () => {
  server = await startRawUpstream();
  const times = { connectTimeout: 1000, retryConnectFor: 0, keepAlive: 1000 };
  upstream = new Upstream({ url: server.url, connections: 1, queue: 1, ...times, tls: null });
});
afterEach(async () => {
  upstream.close();
  await server.close();
});

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitUpgrade(LIVE), tunnel: true }],
  ['a permit to forward a request', permitForward(LIVE)],
])('a tunnel gets no socket with %s', async (_what, permit) => {
  expect(() => upstream.openTunnel(permit as Permit, () => {})).toThrow('no permit');
  expect(await upstream.accepts(1000)).toBe(true);
  expect(server.heads).toEqual([]);
});

test('a tunnel gets a socket with a tunnel permit', async () => {
  const connected = Promise.withResolvers<Error | null>();
  const socket = upstream.openTunnel(permitUpgrade(LIVE) as Permit, connected.resolve);
  expect(await connected.promise).toBe(null);
  expect(socket.readyState).toBe('open');
});

test('no request is sent without a permit, not even with an object shaped like one', () => {
  const budget = new ByteBudget(0);
  const options = {
    budget,
    onFailure() {},
    onEnd() {},
    lease: null,
    lines: [],
    responseTimeout: 0,
    idleTimeout: 0,
  };
  const exchange = {} as Exchange;
  for (const permit of [null, { ...permitForward(LIVE), decision: 'accepted' }]) {
    expect(() => new UpstreamExchange(permit as Permit, exchange, upstream, options)).toThrow('no permit');
  }
});
