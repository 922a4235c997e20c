// No permit, no upstream: enforced at run time too, for values cast past the compiler.
import { expect, onTestFinished, test } from 'vitest';
import { type Permit, permitForward, permitUpgrade } from '../../../src/core/permit.ts';
import type { Exchange } from '../../../src/downstream/client-exchange.ts';
import type { ForwardFailure } from '../../../src/upstream/requester.ts';
import { Upstream, type UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { WebSocketExchange } from '../../../src/upstream/websocket-tunnel.ts';
import { forward } from '../core/fixtures.ts';
import { forwardOptions, startApp } from './fixtures.ts';

const LIVE = forward('/live', { upgrade: ['websocket'] });

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitForward(LIVE), decision: 'accepted' }],
])('no request is sent with %s', async (_what, permit) => {
  const { app, upstream } = await startApp();
  const send = () => new UpstreamExchange(permit as Permit, {} as Exchange, upstream, forwardOptions());
  expect(send).toThrow('no permit');
  expect(await upstream.reachability.tryConnect(1000)).toBe(null);
  expect(app.heads).toEqual([]);
});

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitUpgrade(LIVE), tunnel: true }],
  ['a permit to forward a request', permitForward(LIVE)],
])('no tunnel is opened with %s', async (_what, permit) => {
  const { app, upstream } = await startApp();
  const open = () => new WebSocketExchange(permit as Permit, {} as Exchange, upstream, forwardOptions());
  expect(open).toThrow('no permit');
  expect(await upstream.reachability.tryConnect(1000)).toBe(null);
  expect(app.heads).toEqual([]);
});

test('a request that waited out an outage has the code that another one found', async () => {
  const times = { connectTimeout: 1000, keepAlive: 1000 };
  const upstream = new Upstream({ url: 'http://127.0.0.1:1', connections: 1, queue: 2, ...times, tls: null });
  onTestFinished(() => upstream.close());
  const asks = (then: (failure: ForwardFailure) => void): UpstreamRequest => ({
    place: -1,
    verified: true,
    deferred: false,
    startedAt: performance.now(),
    patience: 0,
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
