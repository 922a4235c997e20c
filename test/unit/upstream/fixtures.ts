// An upstream of a test's own, and requesters without a client connection: the test says when their clients read.
import { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { type Permit, permitForward } from '../../../src/core/permit.ts';
import type { Head } from '../../../src/core/request-head.ts';
import type { ForwardOptions, FromClient, Reached, Requester, ResponseSink } from '../../../src/upstream/contract.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import type { TlsContents } from '../../../src/wire/tls-file-contents.ts';
import { type LenientUpstream, startLenientUpstream } from '../../support/upstream/lenient-upstream.ts';
import { forward, head } from '../core/fixtures.ts';

/** Both end with the test. `path`: a unix socket instead of a free loopback port. */
export async function startApp(path?: string): Promise<{ app: LenientUpstream; upstream: Upstream }> {
  const app = await startLenientUpstream(path === undefined ? {} : { path });
  onTestFinished(() => app.close());
  return { app, upstream: upstreamAt(app.url) };
}

/** It ends with the test. */
export function upstreamAt(url: string, tls: TlsContents | null = null): Upstream {
  const upstream = new Upstream({ url, connections: 1, queue: 2, connectTimeout: 60_000, keepAlive: 1000, tls });
  onTestFinished(() => upstream.close());
  return upstream;
}

const CLIENT = { stream: new Socket(), handOver: () => Buffer.alloc(0) };

export function requesterOf(head: Head, reply: ResponseSink = sink()): FromClient {
  return {
    ...{ head, reply, receiver: null, interims: 0 },
    ...{ upstreamMs: -1, upstreamStatus: 0, upstreamFailure: null, upstreamError: null },
    ...{ from: 'client', clientConnection: CLIENT, onDeparture() {} },
  };
}

/** Takes everything at once. */
export function sink(changes: Partial<ResponseSink> = {}): ResponseSink {
  return {
    ...{ phase: 'waiting', unsent: 0, continue() {}, inform() {}, begin() {}, end() {}, cut() {} },
    ...{ data() {}, flush: () => true, onSent: (listener) => listener() },
    ...changes,
  };
}

export function forwardOptions(changes: Partial<ForwardOptions> = {}): ForwardOptions {
  return {
    ...{ budget: new ByteBudget(0), claim: null },
    ...{ deferrable: false, lines: ['Host', 'h'], patience: 0, responseTimeout: 0, idleTimeout: 0 },
    ...changes,
  };
}

/** A route that forwards what it gets, and lets tunnels through. */
export const LIVE = forward('/live', { upgrade: ['websocket'] });

export interface Asked extends Partial<ForwardOptions> {
  readonly reply?: ResponseSink;
  readonly requester?: Requester;
  readonly permit?: Permit | null;
}

/** Sends a GET, unless it is given another request, with the permit to forward, unless it is given another. */
export function send(upstream: Upstream, { reply, requester, permit, ...options }: Asked) {
  const allowed = permit ?? permitForward(LIVE);
  if (allowed === null) throw new Error('no permit');
  const asked = requester ?? requesterOf(head({ method: 'GET', lines: [] }), reply);
  const exchange = new UpstreamExchange(allowed, asked, upstream, forwardOptions(options));
  const sent = new Promise<Reached>((resolve) => exchange.send(resolve));
  const end = sent.then((reached) => (reached.at === 'end' ? reached : Promise.reject(new Error('it waits'))));
  end.catch(() => {}); // of an answer that waits at its head
  return { exchange, sent, end };
}
