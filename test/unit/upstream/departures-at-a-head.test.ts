// A client that leaves while its response waits at the head: nothing more is read before the decision.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { permitForward } from '../../../src/core/permit.ts';
import type { Requester, ResponseSink } from '../../../src/upstream/requester.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { WaitingHead } from '../../../src/upstream/waiting-head.ts';
import { startRawUpstream } from '../../support/upstream/raw-upstream.ts';
import { forward, head } from '../core/fixtures.ts';

const LARGE = 1024 * 1024;

/** A requester whose client can leave. */
function departing() {
  let depart: (() => void) | null = null;
  const reply: ResponseSink = {
    ...{ phase: 'waiting', unsent: 0, onDrain: null, continue() {}, inform() {}, begin() {}, end() {}, cut() {} },
    ...{ data: () => true, flush: () => true, onSent: (listener) => listener() },
  };
  const requester: Requester = {
    ...{ head: head({ method: 'POST', lines: [] }), reply, receiver: null, bodyBytes: 0, upstreamMs: -1 },
    ...{ upstreamStatus: 0, interims: 0, pauseBody() {}, resumeBody() {}, limitStall() {} },
    onDeparture: (listener) => {
      depart = listener;
    },
  };
  return { requester, depart: () => depart?.() };
}

test('what an app writes behind a head that waits is not read when the client leaves', async () => {
  const app = await startRawUpstream();
  const times = { connectTimeout: 1000, retryConnectFor: 0, keepAlive: 1000 };
  const upstream = new Upstream({ url: app.url, connections: 1, queue: 2, ...times, tls: null });
  const append = vi.spyOn(WaitingHead.prototype, 'append');
  onTestFinished(async () => {
    append.mockRestore();
    upstream.close();
    await app.close();
  });
  app.script((socket) => {
    socket.write(`HTTP/1.1 500 No\r\nContent-Length: ${LARGE}\r\n\r\n`);
    socket.write(Buffer.alloc(LARGE));
  });
  const { requester, depart } = departing();
  const permit = permitForward(forward('/live'));
  if (permit === null) throw new Error('no permit');
  const decided = Promise.withResolvers<'passes' | 'diverted'>();
  const ended = Promise.withResolvers<string>();
  const waits = new Promise<void>((resolve) => {
    new UpstreamExchange(permit, requester, upstream, {
      ...{ budget: new ByteBudget(0), onFailure() {}, lease: null, deferred: false, lines: ['Host', 'h'] },
      ...{ departure: 'aborts nothing', responseTimeout: 0, idleTimeout: 0 },
      atHead: () => {
        resolve();
        return decided.promise;
      },
      onEnd: ended.resolve,
    }).start();
  });
  await waits;
  await nextTurn();
  depart();
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(append).not.toHaveBeenCalled();
  decided.resolve('diverted');
  expect(await ended.promise).toBe('sent');
});
