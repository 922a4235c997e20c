// Interim responses that the client's socket has not taken: the upstream waits.

import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { permitForward, permitUpgrade } from '../../../src/core/permit.ts';
import type { ForwardOptions, ResponseSink } from '../../../src/upstream/requester.ts';
import { failedUpstream } from '../../../src/upstream/requester.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { handshake } from '../../support/websocket/client.ts';
import { forward, head } from '../core/fixtures.ts';
import { forwardOptions, requesterOf, sink, startApp } from './fixtures.ts';

const INTERIMS = 99;
/** A read brings at most 64 KiB, and its first byte may complete a head. */
const MOST_OF_ONE_READ = 5;
const LIVE = forward('/live', { upgrade: ['websocket'] });

interface Asked {
  readonly reply: ResponseSink;
  readonly upstream: Upstream;
  readonly options: ForwardOptions;
}

function request({ reply, upstream, options }: Asked): UpstreamExchange {
  const permit = permitForward(LIVE);
  if (permit === null) throw new Error('no permit');
  const requester = requesterOf(head({ method: 'GET', lines: [] }), reply);
  const exchange = new UpstreamExchange(permit, requester, upstream, options);
  exchange.start();
  return exchange;
}

function webSocket({ reply, upstream, options }: Asked): void {
  const permit = permitUpgrade(LIVE);
  if (permit === null) throw new Error('no permit');
  const [, ...sent] = handshake('/live').trimEnd().split('\r\n');
  const lines = sent.flatMap((line) => line.split(': '));
  const stream = new Socket(); // nothing is written to it
  const requester = {
    ...requesterOf(head({ method: 'GET', target: '/live', lines }), reply),
    clientConnection: { stream, handOver: () => Buffer.alloc(0) },
  };
  new UpstreamExchange(permit, requester, upstream, { ...options, lines }).start();
}

/** The reply to a client whose socket takes nothing until it `reads`. */
function unreading() {
  const seen = { informed: 0, reads: () => {} };
  const reply: { -readonly [key in keyof ResponseSink]: ResponseSink[key] } = sink({
    unsent: 1,
    inform: () => void seen.informed++,
    onSent: (listener) => {
      seen.reads = () => {
        reply.unsent = 0;
        listener();
      };
    },
  });
  return { seen, reply };
}

test.for([
  ['a request', request],
  ['a WebSocket handshake', webSocket],
] as const)('%s: the upstream waits until the client has them, and all arrive', async ([, ask]) => {
  const { app, upstream } = await startApp();
  app.script((socket) => {
    for (let sent = 0; sent < INTERIMS; sent++) socket.write(`HTTP/1.1 103 E\r\nLink: ${'a'.repeat(15_000)}\r\n\r\n`);
    socket.write('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
  });
  const { seen, reply } = unreading();
  const ended = Promise.withResolvers<string>();
  ask({ reply, upstream, options: forwardOptions({ onEnd: ended.resolve }) });
  await vi.waitFor(() => expect(seen.informed).toBeGreaterThan(0));
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(seen.informed).toBeLessThanOrEqual(MOST_OF_ONE_READ);
  seen.reads();
  expect(await ended.promise).toBe('sent');
  expect(seen.informed).toBe(INTERIMS);
});

test('the time in which the upstream has to wait is none of its response timeout', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write('HTTP/1.1 103 E\r\n\r\n'));
  const { seen, reply } = unreading();
  const onFailure = vi.fn();
  const exchange = request({ reply, upstream, options: forwardOptions({ onFailure, responseTimeout: 60_000 }) });
  await vi.waitFor(() => expect(seen.informed).toBe(1));
  const late = performance.now() + 70_000;
  exchange.tick(late);
  expect(onFailure).not.toHaveBeenCalled();
  seen.reads();
  exchange.tick(late);
  expect(onFailure).toHaveBeenCalledWith(failedUpstream('timeout'));
});
