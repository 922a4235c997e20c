// Responses that their client does not read. Of interim ones the upstream waits with the next. Of one that waits at its head
// nothing more is read when the client leaves. One that never ends is awaited for a while, and then counts as its status
// says: its slot is given back.
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { permitUpgrade } from '../../../src/core/permit.ts';
import type { DepartureListener } from '../../../src/downstream/client-exchange.ts';
import type { Requester, ResponseSink } from '../../../src/upstream/contract.ts';
import { failedUpstream } from '../../../src/upstream/contract.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { waitFor } from '../../support/runner/wait-for.ts';
import { handshake } from '../../support/websocket/client.ts';
import { head } from '../core/fixtures.ts';
import { type Asked, LIVE, requesterOf, send, sink, startApp } from './fixtures.ts';

const INTERIMS = 99;
/** A read brings at most 64 KiB, and its first byte may complete a head. */
const MOST_OF_ONE_READ = 5;

function webSocket(upstream: Upstream, { reply, ...options }: Asked) {
  const [, ...sent] = handshake('/live').trimEnd().split('\r\n');
  const lines = sent.flatMap((line) => line.split(': '));
  const stream = new Socket(); // nothing is written to it
  const requester = {
    ...requesterOf(head({ method: 'GET', target: '/live', lines }), reply),
    clientConnection: { stream, handOver: () => Buffer.alloc(0) },
  };
  return send(upstream, { requester, permit: permitUpgrade(LIVE), ...options, lines });
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
  ['a request', send],
  ['a WebSocket handshake', webSocket],
] as const)('%s: the upstream waits until the client has them, and all arrive', async ([, ask]) => {
  const { app, upstream } = await startApp();
  app.script((socket) => {
    for (let sent = 0; sent < INTERIMS; sent++) socket.write(`HTTP/1.1 103 E\r\nLink: ${'a'.repeat(15_000)}\r\n\r\n`);
    socket.write('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
  });
  const { seen, reply } = unreading();
  const { end } = ask(upstream, { reply });
  await waitFor(() => expect(seen.informed).toBeGreaterThan(0));
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(seen.informed).toBeLessThanOrEqual(MOST_OF_ONE_READ);
  seen.reads();
  expect(await end).toMatchObject({ failure: null, memory: 'free' });
  expect(seen.informed).toBe(INTERIMS);
});

test('the time in which the upstream has to wait is none of its response timeout', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write('HTTP/1.1 103 E\r\n\r\n'));
  const { seen, reply } = unreading();
  const onEnd = vi.fn();
  const { exchange, end } = send(upstream, { reply, responseTimeout: 60_000 });
  void end.then(onEnd);
  await waitFor(() => expect(seen.informed).toBe(1));
  const late = performance.now() + 70_000;
  exchange.tick(late);
  await nextTurn();
  expect(onEnd).not.toHaveBeenCalled();
  seen.reads();
  exchange.tick(late);
  expect((await end).failure).toEqual(failedUpstream('timeout'));
});

const LARGE = 1024 * 1024;

/** A requester whose client reads nothing, and can leave. */
function departing() {
  let departing: DepartureListener | null = null;
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
      departing = listener;
    },
  };
  return { requester, depart: () => departing?.clientDeparted(), bytes: () => bytes };
}

test('what an app writes behind a head that waits is not read when the client leaves', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => {
    // In one write, so that the client falls behind in the very read that brings the head.
    const head = `HTTP/1.1 500 No\r\nContent-Length: ${LARGE}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(LARGE)]));
  });
  const { requester, depart, bytes } = departing();
  const sent = await send(upstream, { requester, deferrable: true }).sent;
  if (sent.at !== 'head') throw new Error('it does not wait');
  depart();
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(bytes()).toBe(0);
  const end = sent.answer.relay();
  expect(bytes()).toBeGreaterThan(0);
  expect(bytes()).toBeLessThanOrEqual(64 * 1024); // what came in the head's own read
  depart();
  expect((await end).failure).toBe(null);
});

test.for([
  [200, 'a client that left', 'delivered'],
  [404, 'a deferred delivery', 'failed'],
] as const)('a %i without end, of %s: it is %s', async ([status, whose, outcome]) => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write(`HTTP/1.1 ${status} A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`));
  const begin = vi.fn();
  const isLeft = whose === 'a client that left';
  const asked = requesterOf(head({ method: 'GET', lines: [] }), sink({ begin, phase: isLeft ? 'gone' : 'begun' }));
  const leaves: Requester['onDeparture'] = (listener) => listener?.clientDeparted(); // before anything is sent
  const requester: Requester = { ...asked, ...(isLeft ? { onDeparture: leaves } : { from: 'store' }) };
  const claim = { delivered: vi.fn(), failed: vi.fn() };
  const onEnd = vi.fn();
  const { exchange, end } = send(upstream, { requester, claim });
  void end.then(onEnd);
  await waitFor(() => expect(begin).toHaveBeenCalled());
  exchange.tick(performance.now() + 29_000);
  await nextTurn();
  expect(onEnd).not.toHaveBeenCalled();
  exchange.tick(performance.now() + 31_000);
  expect((await end).failure).toBe(null);
  const [first] = [claim.delivered, claim.failed].filter((call) => call.mock.calls.length > 0);
  expect(first).toBe(claim[outcome]);
});
