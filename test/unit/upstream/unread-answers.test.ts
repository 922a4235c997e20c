// An answer that nobody reads is awaited for a while, and then counts as its status says: its slot is given back.
import { expect, test, vi } from 'vitest';
import { permitForward } from '../../../src/core/permit.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { forward, head } from '../core/fixtures.ts';
import { forwardOptions, requesterOf, sink, startApp } from './fixtures.ts';

test.for([
  [200, 'a client that left', 'delivered'],
  [404, 'a client that left', 'failed'],
  [200, 'a deferred delivery', 'delivered'],
  [404, 'a deferred delivery', 'failed'],
] as const)('a %i without end, of %s: it is %s', async ([status, whose, outcome]) => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write(`HTTP/1.1 ${status} A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`));
  const begin = vi.fn();
  const isLeft = whose === 'a client that left';
  const requester = requesterOf(head({ method: 'GET', lines: [] }), sink({ begin, phase: isLeft ? 'gone' : 'begun' }));
  const lease = { delivered: vi.fn(), failed: vi.fn() };
  const onFailure = vi.fn();
  const onEnd = vi.fn();
  const permit = permitForward(forward('/live'));
  if (permit === null) throw new Error('no permit');
  const options = forwardOptions({ lease, onFailure, onEnd, idleTimeout: 0 });
  const exchange = new UpstreamExchange(
    permit,
    isLeft ? requester : { ...requester, clientConnection: null },
    upstream,
    options,
  );
  exchange.start();
  await vi.waitFor(() => expect(begin).toHaveBeenCalled());
  exchange.tick(performance.now() + 29_000);
  expect(onEnd).not.toHaveBeenCalled();
  exchange.tick(performance.now() + 31_000);
  expect(onEnd).toHaveBeenCalledOnce();
  expect(onFailure).toHaveBeenCalledWith({ side: 'client', reason: 'client_closed' });
  const [first] = [lease.delivered, lease.failed].filter((call) => call.mock.calls.length > 0);
  expect(first).toBe(lease[outcome]);
});
