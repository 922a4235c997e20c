// An upstream that closes an idle socket while the event loop is late: its end lies in the kernel, unread.
import { stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { permitForward } from '../../../src/core/permit.ts';
import type { ForwardFailure } from '../../../src/upstream/requester.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { OK } from '../../support/upstream/raw-upstream.ts';
import { forward, head } from '../core/fixtures.ts';
import { forwardOptions, requesterOf, startApp } from './fixtures.ts';

const LONG_TURN_MS = 50;

/** Resolves with the failure, or with null once it is answered. */
function ask(upstream: Upstream): Promise<ForwardFailure | null> {
  const permit = permitForward(forward('/live'));
  if (permit === null) throw new Error('no permit');
  return new Promise((resolve) => {
    const options = forwardOptions({ onFailure: resolve, onEnd: () => resolve(null) });
    new UpstreamExchange(permit, requesterOf(head({ method: 'GET', lines: [] })), upstream, options).start();
  });
}

/** Keeps the event loop from reading anything. */
function longTurn(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LONG_TURN_MS);
}

test('a request of a long turn is not sent on a socket that the upstream has closed in it', async () => {
  const { app, upstream } = await startApp();
  const used: Socket[] = [];
  app.script((socket) => {
    used.push(socket);
    socket.write(OK);
  });
  for (let round = 0; round < 10; round++) {
    expect(await ask(upstream)).toBe(null);
    await expect.poll(() => upstream.limiter.scarce).toBe(false); // its slot and its socket are free again
    await stat('/'); // from here on nothing is read before the end of the turn, as in the turn of a client's request
    longTurn();
    used.at(-1)?.destroy();
  }
  expect(new Set(used).size).toBe(10);
});
