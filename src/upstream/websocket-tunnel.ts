// One permitted WebSocket: a slot, a socket, the WebSocket handshake, then bytes both ways until a side ends. Only this
// file needs node:http.
//
// http-proxy-3 writes the handshake and pipes the tunnel. The socket comes from our pool, by an agent, because a failed
// connect waits and is tried again as any other. The library's three listeners are replaced, since none can be stopped
// by one before it. Tried with each left in place: `upgrade` opens a tunnel for any 101, also where bytes are missing
// (test/integration/websocket-bytes.test.ts fails); `response` relays refusals without backpressure, coded bytes as
// plain, a cut body as whole (test/integration/websocket-refused-handshakes.test.ts fails); with `error` the tests pass,
// but it ends the client's socket by destroySoon, where our answers end in order.

import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { NO_BYTES } from '../base/bytes.ts';
import { codeOf, ignore } from '../base/errors.ts';
import { endToEnd, valuesOf } from '../core/header-lines.ts';
import { isPermit, type Permit } from '../core/permit.ts';
import type { UpstreamFailure } from '../core/request-record.ts';
import { readWebSocketAnswer, webSocketHeaders } from '../core/websocket-handshake.ts';
import { PROBE_AFTER_MS } from './connect.ts';
import { type ForwardFailure, type ForwardOptions, failedUpstream, note, type TunnelRequester } from './requester.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';
import { MAX_INTERIMS } from './upstream-connection.ts';

type Library = typeof import('./websocket-library.ts');
type OnUpgrade = (response: IncomingMessage, socket: Socket, early: Buffer) => void;

/** True if one more tunnel may be opened: half of the connections are kept for other requests. */
export const mayOpenTunnel = (open: number, connections: number) => open < connections / 2;

/** Milliseconds of silence that end a tunnel after one side has closed, if `idleTimeout` is off. */
const HALF_CLOSED_MS = 30_000;

export class WebSocketExchange implements UpstreamRequest {
  place = -1;
  readonly verified = false;
  readonly deferred = false;
  readonly patience: number;
  readonly #requester: TunnelRequester;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly startedAt = performance.now();
  #ended = false;
  /** The client's socket, once it carries a tunnel. */
  #client: Socket | null = null;
  /** The upstream's socket, from the connect on. */
  #socket: Socket | null = null;
  #request: ClientRequest | null = null;
  #deadline: NodeJS.Timeout | null = null;

  /** The permit is the caller's proof that the rules let a tunnel through; anything else throws. */
  constructor(permit: Permit, requester: TunnelRequester, upstream: Upstream, options: ForwardOptions) {
    if (!isPermit(permit) || !permit.tunnel) throw new Error('no permit, no upstream');
    this.#requester = requester;
    this.#upstream = upstream;
    this.#options = options;
    this.patience = options.patience;
  }

  start(): void {
    this.#requester.onDeparture(this.#onDeparture);
    this.#requester.stallTimeout = this.#options.idleTimeout;
    this.#upstream.acquireSlot(this);
  }

  // --- a slot and a socket

  acquired(): void {
    // Loaded with the first WebSocket, which most proxies never see.
    import('./websocket-library.ts').then(
      (library) => this.#connect(library),
      () => this.giveUp(failedUpstream('reset')),
    );
  }

  /** Always 0: it never waits for its client, and releases the slot when the upstream answers. */
  stalledFor(): number {
    return 0;
  }

  evict(): void {
    this.giveUp(this.#upstream.full);
  }

  #connect(library: Library): void {
    if (this.#ended) return;
    const socket = this.#upstream.pool.openSocket((error) => {
      if (this.#ended) socket.destroy();
      else if (error === null) this.#sendHandshake(library, socket);
      else this.#upstream.connectFailed(this, error);
    });
    this.#socket = socket;
  }

  // --- the WebSocket handshake

  #sendHandshake({ createProxyServer }: Library, socket: Socket): void {
    const { head, clientConnection } = this.#requester;
    // The library's own path handling must stay off: it resolves dot segments, which would bypass the routes.
    const proxy = createProxyServer({ target: TARGET, toProxy: true, prependPath: false, agent: agentOf(socket) });
    proxy.on('error', ignore); // the client's socket; its 'close' ends the exchange
    proxy.once('proxyReqWs', (outgoing) => {
      this.#request = outgoing;
      outgoing.path = head.target; // to the byte: toProxy drops a lone `?`
    });
    proxy.once('open', this.#onOpen);
    proxy.ws(this.#incoming(), clientConnection.stream, NO_BYTES, this.#onTunnelError);
    const outgoing = this.#request;
    if (outgoing === null) return this.giveUp(failedUpstream('reset'));
    const [pipeTunnel] = outgoing.listeners('upgrade') as OnUpgrade[];
    outgoing
      .removeAllListeners('upgrade')
      .once('upgrade', (response: IncomingMessage, upstream: Socket, early: Buffer) => {
        // A tunnel that lacks the client's first bytes would be worse than none.
        if (clientConnection.hasDroppedBytes) this.giveUp({ side: 'client', reason: 'bad_request' });
        else if (this.#accepts(response)) pipeTunnel?.(response, upstream, early);
        else this.giveUp(failedUpstream('protocol'));
      });
    outgoing.removeAllListeners('response').once('response', this.#onRefused);
    outgoing.removeAllListeners('error').on('error', (error) => this.giveUp(failedUpstream(causeOf(error), error)));
    outgoing.on('information', this.#onInformation);
    const { responseTimeout } = this.#options;
    const late = () => this.giveUp(failedUpstream('timeout'));
    if (responseTimeout > 0) this.#deadline = setTimeout(late, responseTimeout);
  }

  /** The client's request: as much of a node object as http-proxy-3 reads. */
  #incoming(): IncomingMessage {
    const { head } = this.#requester;
    const headers = webSocketHeaders(this.#options.lines, head.upgrade ?? '') as IncomingHttpHeaders;
    return { method: head.method, url: head.target, headers, httpVersion: '1.1' } as IncomingMessage;
  }

  readonly #onInformation = (info: { statusCode: number; statusMessage: string; rawHeaders: string[] }): void => {
    if (this.#ended) return;
    if (this.#requester.interims === MAX_INTERIMS) return this.giveUp(failedUpstream('protocol'));
    this.#requester.interims++;
    const { reply } = this.#requester;
    if (info.statusCode > 101) reply.inform(info.statusCode, info.statusMessage, info.rawHeaders);
    process.nextTick(this.#awaitInterims); // node:http resumes the socket at the end of each interim response
  };

  /** Nothing more is read until the client's socket has the interim responses, which must be forwarded. */
  readonly #awaitInterims = (): void => {
    const socket = this.#socket;
    const { reply } = this.#requester;
    if (socket === null || socket.isPaused() || reply.unsent === 0) return;
    socket.pause();
    reply.onSent(() => socket.resume());
  };

  /** Forwards an answer other than 101. Its bytes never become a tunnel. */
  readonly #onRefused = (incoming: IncomingMessage): void => {
    if (this.#ended) return;
    const { statusCode: status = 0, statusMessage: reason = '', rawHeaders: lines, headers } = incoming;
    const isRefusal = answerOf(incoming, this.#requester) === 'refused';
    const codings = valuesOf(lines, 'transfer-encoding').join().toLowerCase();
    // A coding stays in the body: node does not decode it.
    if (!isRefusal || (codings !== '' && codings !== 'chunked')) return this.giveUp(failedUpstream('protocol'));
    const { reply } = this.#requester;
    this.#answered(status);
    const length = headers['content-length'] ?? '';
    const framing = status !== 204 && status !== 304 && length === '' ? 'chunked' : 'length';
    // Bytes after the WebSocket handshake may be meant for the tunnel, so none may be read as a request.
    reply.begin({ status, reason, lines: endToEnd(lines), framing, length }, 'close');
    reply.onDrain = () => incoming.resume();
    incoming.on('data', (piece: Buffer) => {
      reply.data(piece);
      if (!reply.flush()) incoming.pause();
    });
    // Also ends a response that the client stops reading: then nothing moves on the upstream's socket either.
    incoming.setTimeout(this.#options.idleTimeout, () => this.giveUp(failedUpstream('timeout')));
    incoming.once('error', (error) => this.giveUp(failedUpstream(causeOf(error), error)));
    incoming.once('end', () => {
      this.#end();
      reply.end(incoming.rawTrailers);
    });
    reply.flush();
  };

  // --- the tunnel

  /** True if the response accepts the WebSocket handshake; the library then writes the 101. */
  #accepts(response: IncomingMessage): boolean {
    if (this.#ended || answerOf(response, this.#requester) !== 'accepted') return false;
    this.#answered(101);
    this.#requester.tunnelled = true;
    this.#requester.reply.becomeTunnel();
    const { upgrade = '' } = response.headers;
    response.headers = webSocketHeaders(response.rawHeaders, upgrade) as IncomingHttpHeaders;
    const { stream } = this.#requester.clientConnection;
    const early = this.#requester.clientConnection.handOver();
    this.#client = stream;
    stream.setDefaultEncoding('latin1'); // http-proxy-3 writes the head as text: UTF-8 would change its bytes
    if (early.length > 0) stream.unshift(early);
    return true;
  }

  readonly #onOpen = (upstream: Socket): void => {
    for (const socket of [this.#client, upstream]) {
      socket?.setKeepAlive(true, PROBE_AFTER_MS); // a tunnel may be silent forever
      socket?.once('end', this.#onHalfClosed);
    }
    upstream.once('close', this.#onHalfClosed);
  };

  /** A side that never answers the other's close must not hold both sockets forever. */
  readonly #onHalfClosed = (): void => {
    const milliseconds = this.#options.idleTimeout || HALF_CLOSED_MS;
    for (const socket of [this.#client, this.#socket]) socket?.setTimeout(milliseconds, () => socket.destroy());
  };

  readonly #onTunnelError = (error: Error): void => {
    if (!this.#ended && this.#socket?.readableEnded === false) this.#requester.upstreamFailure = causeOf(error);
  };

  // --- ends

  /** The upstream's head has arrived. Idle tunnels must not use up the slots; they have their own limit. */
  #answered(status: number): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#upstream.limiter.release(this);
    this.#requester.upstreamMs = performance.now() - this.startedAt;
    this.#requester.upstreamStatus = status;
  }

  giveUp(failure: ForwardFailure): void {
    if (this.#ended) return;
    this.#request?.destroy();
    this.#socket?.destroy();
    note(this.#requester, failure);
    this.#options.onFailure(failure);
    this.#end();
  }

  /** False if it had already ended. */
  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#requester.onDeparture(null);
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#upstream.limiter.release(this);
    this.#options.onEnd('sent');
    return true;
  }

  /** The client's socket is closed, whoever closed it. */
  readonly #onDeparture = (): void => {
    if (!this.#end()) return;
    if (!this.#requester.tunnelled) {
      this.#request?.destroy();
      this.#socket?.destroy();
      return;
    }
    this.#onHalfClosed();
    this.#socket?.destroySoon(); // the client's last bytes still go out
  };
}

function answerOf({ statusCode = 0, rawHeaders }: IncomingMessage, { lines }: TunnelRequester) {
  return readWebSocketAnswer(lines, statusCode, rawHeaders);
}

function causeOf(error: Error): UpstreamFailure {
  return codeOf(error).startsWith('HPE_') ? 'protocol' : 'reset';
}

/** Never connected to: the agent already has a connected socket. */
const TARGET = { protocol: 'http:', host: 'localhost', port: 80 } as const;

function agentOf(socket: Socket): Agent {
  const { Agent } = process.getBuiltinModule('node:http');
  return Object.assign(new Agent({ keepAlive: false }), { createConnection: () => socket });
}
