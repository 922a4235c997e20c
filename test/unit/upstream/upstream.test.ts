// No permit, no upstream: enforced at run time too, for values cast past the compiler.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { type Permit, permitForward, permitUpgrade } from '../../../src/core/permit.ts';
import type { Exchange } from '../../../src/downstream/client-exchange.ts';
import type { ForwardFailure } from '../../../src/upstream/forward-failure.ts';
import { Upstream, type UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { WebSocketExchange } from '../../../src/upstream/websocket-tunnel.ts';
import { type RawUpstream, startRawUpstream } from '../../support/upstream/raw-upstream.ts';
import { forward } from '../core/fixtures.ts';

const LIVE = forward('/live', { upgrade: ['websocket'] });

let server: RawUpstream;
let upstream: Upstream;
beforeEach(async () => {
  server = await startRawUpstream();
  const times = { connectTimeout: 1000, retryConnectFor: 0, keepAlive: 1000 };
  upstream = new Upstream({ url: server.url, connections: 1, queue: 2, ...times, tls: null });
});
afterEach(async () => {
  upstream.close();
  await server.close();
});

const OPTIONS = {
  budget: new ByteBudget(0),
  onFailure() {},
  onEnd() {},
  lease: null,
  departure: 'aborts' as const,
  deferred: false,
  atHead: null,
  lines: [],
  responseTimeout: 0,
  idleTimeout: 0,
};

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitForward(LIVE), decision: 'accepted' }],
])('no request is sent with %s', async (_what, permit) => {
  expect(() => new UpstreamExchange(permit as Permit, {} as Exchange, upstream, OPTIONS)).toThrow('no permit');
  expect(await upstream.reachability.tryConnect(1000)).toBe(null);
  expect(server.heads).toEqual([]);
});

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitUpgrade(LIVE), tunnel: true }],
  ['a permit to forward a request', permitForward(LIVE)],
])('no tunnel is opened with %s', async (_what, permit) => {
  expect(() => new WebSocketExchange(permit as Permit, {} as Exchange, upstream, OPTIONS)).toThrow('no permit');
  expect(await upstream.reachability.tryConnect(1000)).toBe(null);
  expect(server.heads).toEqual([]);
});

test('a request that waited out an outage has the code that another one found', async () => {
  const asks = (then: (failure: ForwardFailure) => void): UpstreamRequest => ({
    place: -1,
    verified: true,
    deferred: false,
    startedAt: performance.now(),
    connectError: null,
    acquired() {},
    stalledFor: () => 0,
    evict() {},
    giveUp: then,
  });
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const first = asks(() => {});
  upstream.acquireSlot(first);
  upstream.connectFailed(first, refused);
  const failure = await new Promise((resolve) => upstream.acquireSlot(asks(resolve)));
  expect(failure).toMatchObject({ cause: 'connect', code: 'ECONNREFUSED' });
});
