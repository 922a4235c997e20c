// A client that leaves while its response waits at the head: nothing more is read before the decision.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { permitForward } from '../../../src/core/permit.ts';
import type { Requester } from '../../../src/upstream/requester.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { forward, head } from '../core/fixtures.ts';
import { forwardOptions, requesterOf, sink, startApp } from './fixtures.ts';

const LARGE = 1024 * 1024;

/** A requester whose client reads nothing, and can leave. */
function departing() {
  let depart: (() => void) | null = null;
  let bytes = 0;
  const reply = sink({
    data: (piece) => {
      bytes += piece.length;
    },
    flush: () => false,
  });
  const requester: Requester = {
    ...requesterOf(head({ method: 'POST', lines: [] }), reply),
    onDeparture: (listener) => {
      depart = listener;
    },
  };
  return { requester, depart: () => depart?.(), bytes: () => bytes };
}

test('what an app writes behind a head that waits is not read when the client leaves', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => {
    // In one write, so that the client falls behind in the very read that brings the head.
    const head = `HTTP/1.1 500 No\r\nContent-Length: ${LARGE}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(LARGE)]));
  });
  const { requester, depart, bytes } = departing();
  const permit = permitForward(forward('/live'));
  if (permit === null) throw new Error('no permit');
  const decided = Promise.withResolvers<'passes' | 'stored'>();
  const ended = Promise.withResolvers<string>();
  const waits = new Promise<void>((resolve) => {
    const options = forwardOptions({
      atHead: () => {
        resolve();
        return decided.promise;
      },
      onEnd: ended.resolve,
    });
    new UpstreamExchange(permit, requester, upstream, options).start();
  });
  await waits;
  await nextTurn();
  const before = bytes();
  expect(before).toBeGreaterThan(0);
  depart();
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(bytes()).toBe(before);
  decided.resolve('stored');
  expect(await ended.promise).toBe('sent');
});
