// One permitted WebSocket on its way: a slot, a socket, the handshake, then bytes both ways until a side ends. http-proxy-3
// writes the handshake and pipes the tunnel; whatever comes to no tunnel is answered here, as for any request.
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { handshakeHeaders } from '../core/handshake.ts';
import { endToEnd } from '../core/headers.ts';
import type { Permit } from '../core/permit.ts';
import type { Exchange } from './exchange.ts';
import { codeOf, failureOf, isWorthRetrying } from './failures.ts';
import type { ForwardOptions } from './forward.ts';
import { MOST_INTERIM, writeInterim } from './interim.ts';
import { type Answer, answer, BAD_GATEWAY, cut, GATEWAY_TIMEOUT, refusal } from './respond.ts';
import type { Claimant } from './slots.ts';
import { relay } from './upgraded.ts';
import type { Upstream } from './upstream.ts';

const http = process.getBuiltinModule('node:http');

type Library = typeof import('./websocket-library.ts');

/** A peer that vanished without a word is noticed after about this long, in milliseconds. A tunnel may be silent for ever. */
const PROBE_AFTER_MS = 60_000;
/** Where `idleTimeout` is off: how long the other side may say nothing after one has closed, in milliseconds. */
const HALF_CLOSED_MS = 30_000;

export class Upgrade implements Claimant {
  place = -1;
  readonly #permit: Permit;
  readonly #exchange: Exchange;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly #client: Socket;
  readonly #startedAt = performance.now();
  #connectFailure: Error | null = null;
  #ended = false;
  /** The upstream's socket, from the connect on. */
  #socket: Socket | null = null;
  #request: ClientRequest | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #interim = 0;

  constructor(permit: Permit, exchange: Exchange, upstream: Upstream, options: ForwardOptions) {
    this.#permit = permit;
    this.#exchange = exchange;
    this.#upstream = upstream;
    this.#options = options;
    this.#client = exchange.connection.socket;
  }

  start(): void {
    this.#exchange.onClose(this.#onClose);
    // Nobody reads the socket before the tunnel stands: without this a client that leaves is never noticed.
    this.#client.once('end', this.#onLeft);
    this.#client.read(0);
    if (this.#upstream.slots.tryTake(this)) this.granted();
    else this.#wait();
  }

  // --- a slot and a socket: tried again for `retryConnectFor`, since no byte was sent

  granted(): void {
    // Loaded by the first WebSocket, not by the start: most proxies never see one.
    import('./websocket-library.ts').then(
      (library) => this.#connect(library),
      (error: Error) => this.#fail(error),
    );
  }

  expired(down: boolean): void {
    if (this.#connectFailure !== null || down) this.#failBeforeSent(this.#connectFailure);
    else this.#overloaded();
  }

  /** It holds its slot until the upstream has answered, and waits for nothing from its client meanwhile. */
  dawdles(): number {
    return 0;
  }

  evict(): void {
    this.#overloaded();
  }

  #wait(): void {
    const timeLeft = this.#startedAt + this.#upstream.options.retryConnectFor - performance.now();
    if (!this.#upstream.slots.wait(this, Math.max(timeLeft, 0))) this.#overloaded();
  }

  #connect(library: Library): void {
    if (this.#ended) return;
    this.#socket = this.#upstream.connect(this.#permit, (error, socket) => {
      if (this.#ended) return;
      if (error === null && socket) this.#shakeHands(library, socket);
      else this.#connectFailed(error ?? new Error('no socket'));
    });
  }

  #connectFailed(error: Error): void {
    if (!isWorthRetrying(error)) return this.#failBeforeSent(error);
    this.#connectFailure = error;
    this.#upstream.connectFailed();
    this.#upstream.slots.leave(this);
    this.#wait();
  }

  // --- the handshake

  #shakeHands({ createProxyServer }: Library, socket: Socket): void {
    const { request, head, early } = this.#exchange;
    // Its own path handling resolves dot segments, a way past the routes; it must never be on.
    const proxy = createProxyServer({ target: TARGET, toProxy: true, prependPath: false, agent: agentOf(socket) });
    proxy.on('error', ignore); // the client's socket; its 'close' ends the exchange
    proxy.once('proxyReqWs', (outgoing) => {
      this.#request = outgoing;
      outgoing.path = head.target; // to the byte: toProxy drops a lone `?`
      outgoing.once('upgrade', this.#onAccepted);
    });
    proxy.once('open', this.#onOpen);
    request.headers = handshakeHeaders(this.#options.headers, head.upgrade ?? '') as IncomingHttpHeaders;
    proxy.ws(request, this.#client, early ?? Buffer.alloc(0), this.#onTunnelError);
    // Left to itself it writes a refusal without backpressure, and ends a failure without an answer.
    this.#request?.removeAllListeners('response').once('response', this.#onRefused);
    this.#request?.removeAllListeners('error').on('error', this.#fail);
    this.#request?.on('information', this.#onInformation);
    const { responseTimeout } = this.#options;
    if (responseTimeout > 0) this.#deadline = setTimeout(this.#onDeadline, responseTimeout);
  }

  readonly #onDeadline = (): void => {
    this.#request?.destroy(Object.assign(new Error('no answer to the handshake'), { code: 'HANDSHAKE_TIMEOUT' }));
  };

  readonly #onInformation = ({ statusCode, rawHeaders }: { statusCode: number; rawHeaders: string[] }): void => {
    if (this.#ended) return;
    if (++this.#interim > MOST_INTERIM) return this.#failProtocol();
    this.#options.onInformation(this.#exchange.route);
    const { response } = this.#exchange;
    if (statusCode > 101 && !response.headersSent) writeInterim(response, statusCode, endToEnd(rawHeaders));
  };

  /** The upstream's own answer, whole, on a connection that ends with it. Its bytes never become a tunnel. */
  readonly #onRefused = (incoming: IncomingMessage): void => {
    const status = incoming.statusCode ?? 0;
    if (status < 200) return this.#failProtocol(); // a 101 that upgrades nothing
    this.#answered(status);
    relay(incoming, this.#exchange, this.#options.idleTimeout);
    incoming.once('error', this.#fail);
    incoming.once('end', () => this.#end());
  };

  // --- the tunnel

  /** Before http-proxy-3 writes the 101 to the client. */
  readonly #onAccepted = (response: IncomingMessage): void => {
    this.#answered(101);
    this.#exchange.settled = true; // from here on a client that leaves is the tunnel's ordinary end
    this.#exchange.connection.stallTimeout = 0;
    const { upgrade = '' } = response.headers;
    response.headers = handshakeHeaders(endToEnd(response.rawHeaders), upgrade) as IncomingHttpHeaders;
  };

  readonly #onOpen = (upstream: Socket): void => {
    for (const socket of [this.#client, upstream]) {
      socket.setKeepAlive(true, PROBE_AFTER_MS);
      socket.once('end', this.#onHalfClosed);
    }
    upstream.once('close', this.#onHalfClosed);
  };

  /** A side that never answers the other's close must not hold both sockets for ever. */
  readonly #onHalfClosed = (): void => {
    const milliseconds = this.#options.idleTimeout || HALF_CLOSED_MS;
    for (const socket of [this.#client, this.#socket]) socket?.setTimeout(milliseconds, () => socket.destroy());
  };

  readonly #onTunnelError = (error: Error): void => {
    if (!this.#ended && this.#socket?.readableEnded === false) this.#exchange.upstreamFailure = failureOf(error);
  };

  // --- ends

  /** The upstream's head is here. limits.connections bounds the tunnels: idle ones must not use up the slots of requests. */
  #answered(status: number): void {
    this.#stopWaiting();
    this.#upstream.slots.leave(this);
    this.#exchange.upstreamMs = performance.now() - this.#startedAt;
    this.#exchange.upstreamStatus = status;
    this.#exchange.status = status;
  }

  #stopWaiting(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#client.off('end', this.#onLeft);
  }

  readonly #fail = (error: Error): void => {
    if (this.#ended) return;
    this.#exchange.upstreamFailure = failureOf(error);
    this.#answer(this.#exchange.upstreamFailure === 'timeout' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
  };

  #failProtocol(): void {
    this.#request?.destroy();
    this.#exchange.upstreamFailure = 'protocol';
    this.#answer(BAD_GATEWAY);
  }

  #failBeforeSent(error: Error | null): void {
    this.#exchange.upstreamFailure = 'connect';
    this.#answer(codeOf(error) === 'UND_ERR_CONNECT_TIMEOUT' ? GATEWAY_TIMEOUT : BAD_GATEWAY);
  }

  #overloaded(): void {
    this.#exchange.decision = 'rejected';
    this.#exchange.reason = 'overloaded';
    this.#answer(refusal('overloaded', null));
  }

  #answer(given: Answer): void {
    this.#end();
    if (this.#exchange.response.headersSent) cut(this.#exchange);
    else answer(this.#exchange, given, this.#options.lingering);
  }

  #end(): void {
    this.#ended = true;
    this.#exchange.onClose(null);
    this.#stopWaiting();
    this.#upstream.slots.leave(this);
  }

  readonly #onLeft = (): void => {
    this.#client.destroy();
  };

  /** The client's socket is closed, whoever closed it. */
  readonly #onClose = (): void => {
    if (this.#ended) return;
    this.#end();
    if (!this.#exchange.settled) {
      this.#socket?.destroy();
      return;
    }
    this.#onHalfClosed();
    this.#socket?.destroySoon(); // the client's last bytes still go out
  };
}

/** Never connected to: the agent has the socket already, and with it the address, TLS and its server name. */
const TARGET = { protocol: 'http:', host: 'localhost', port: 80 } as const;

function agentOf(socket: Socket): Agent {
  const agent = new http.Agent({ keepAlive: false });
  agent.createConnection = () => socket;
  return agent;
}

function ignore(): void {}
