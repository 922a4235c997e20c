// The upstream: its sockets, its slots, and whether it takes connections. Nothing is sent here without a permit.
import { connect, type Socket } from 'node:net';
import type { Client, Dispatcher } from 'undici';
import type { Connector } from 'undici/lib/core/connect.js';
import UndiciClient from 'undici/lib/dispatcher/client.js';
import { isPermit, type Permit } from '../core/permit.ts';
import { type Address, addressOf, createConnector } from './connector.ts';
import { type Lane, Lanes } from './lanes.ts';
import { type Claimant, Slots } from './slots.ts';
import type { TlsContents } from './tls.ts';
import { Turns } from './turns.ts';

/** Where and how to connect. Times in milliseconds. */
export interface UpstreamOptions {
  /** `http://…`, `https://…` or `unix:///path`. */
  readonly url: string;
  readonly connections: number;
  readonly queue: number;
  readonly connectTimeout: number;
  readonly retryConnectFor: number;
  readonly keepAlive: number;
  /** Bytes. */
  readonly maxHeader: number;
  readonly tls: TlsContents | null;
}

/** Milliseconds between two looks at an upstream that takes no connection. */
const PROBE_EVERY_MS = 100;

/** A request that holds a slot, and hears from undici what became of it. */
export interface Sender extends Claimant, Dispatcher.DispatchHandler {
  /** The upstream's to set. */
  lane: Lane | null;
}

export class Upstream {
  readonly options: UpstreamOptions;
  readonly slots: Slots;
  readonly turns = new Turns();
  readonly #address: Address;
  readonly #lanes = new Lanes(() => this.#open());
  #connector: Connector;
  /** Sockets of tunnels and of handshakes on their way. */
  readonly #own = new Set<Socket>();
  #probing = false;
  #breaking = false;

  constructor(options: UpstreamOptions) {
    this.options = options;
    this.#address = addressOf(options.url);
    this.slots = new Slots({ slots: options.connections, queue: options.queue });
    this.#connector = this.#connectorOf(options.tls);
  }

  /**
   * True while undici is told of a socket's error. It then ends a body that lasts until the close as if it were whole: right
   * for a close, wrong for a reset.
   */
  get breaking(): boolean {
    return this.#breaking;
  }

  /** Sends one request. The permit is the caller's proof that the rules let it through; anything else throws. */
  dispatch(permit: Permit, request: Omit<Dispatcher.DispatchOptions, 'origin'>, sender: Sender): void {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    const lane = this.#lanes.take();
    sender.lane = lane; // first: undici may tell of a failure before it returns
    // Without a name of its own each dispatch takes the client's Host for one, and a new connection for each new Host.
    const { serverName: servername } = this.#address;
    lane.dispatch(permit, servername === null ? request : ({ ...request, servername } as typeof request), sender);
  }

  /** The request has ended: what it held is for others now. */
  leave(sender: Sender): void {
    const { lane } = sender;
    sender.lane = null;
    // Who waits must not go out within the end of this response: undici looks for bytes that nobody asked for only on a
    // socket at rest, and would take them for the answer to the next request (GHSA-35p6-xmwp-9g52).
    if (lane !== null && this.slots.waiting > 0) setImmediate(() => this.#give(lane, sender));
    else this.#give(lane, sender);
  }

  /** Nothing of it was sent, and it will wait again. */
  stepBack(sender: Sender): void {
    const { lane } = sender;
    sender.lane = null;
    this.#give(lane, sender);
  }

  /**
   * Opens a socket for one WebSocket; the caller ends it. Throws without a permit for a tunnel. `done` is told of a socket
   * that is connected, TLS and all, or why there is none within `connectTimeout`.
   */
  connect(permit: Permit, done: Parameters<Connector>[1]): Socket {
    if (!isPermit(permit) || !permit.tunnel) throw new Error('no permit, no upstream');
    const { origin, host, port } = this.#address;
    const socket = this.#connector({ protocol: new URL(origin).protocol, hostname: host, port: String(port) }, done);
    this.#own.add(socket);
    return socket.once('close', () => this.#own.delete(socket));
  }

  /** TLS files changed: new connections use them, requests in flight end on the old ones. */
  replaceTls(tls: UpstreamOptions['tls']): void {
    this.#connector = this.#connectorOf(tls);
    this.#lanes.renew();
  }

  /** A connect failed: everybody waits for one shared probe instead of knocking by themselves. */
  connectFailed(): void {
    this.slots.setDown(true);
    if (this.#probing) return;
    this.#probing = true;
    this.#probeSoon();
  }

  /** Whether the upstream takes a connection now; at most `milliseconds`. */
  accepts(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket: Socket = connect(this.target());
      const end = (up: boolean) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(up);
      };
      const timer = setTimeout(() => end(false), milliseconds);
      socket.once('connect', () => end(true));
      socket.once('error', () => end(false));
    });
  }

  /** Where a socket to it connects. */
  target(): { path: string } | { host: string; port: number } {
    const { socketPath, host, port } = this.#address;
    return socketPath === null ? { host, port } : { path: socketPath };
  }

  /** Ends every socket; what is in flight fails. */
  async close(): Promise<void> {
    this.slots.setDown(false);
    for (const socket of this.#own) socket.destroy();
    await this.#lanes.destroy();
  }

  #give(lane: Lane | null, sender: Sender): void {
    if (lane !== null) this.#lanes.giveBack(lane);
    this.slots.leave(sender);
  }

  #connectorOf(tls: UpstreamOptions['tls']): Connector {
    const { socketPath, serverName } = this.#address;
    const { connectTimeout } = this.options;
    return createConnector({ socketPath, serverName, tls, connectTimeout, onError: this.#onBreak });
  }

  #probeSoon(): void {
    setTimeout(async () => {
      // Nobody waits any more: the next request finds out by itself.
      const up = this.slots.waiting === 0 || (await this.accepts(this.options.connectTimeout));
      if (up) {
        this.#probing = false;
        this.slots.setDown(false);
      } else this.#probeSoon();
    }, PROBE_EVERY_MS);
  }

  #open(): Client {
    const { options } = this;
    const connector = this.#connector;
    return new UndiciClient(this.#address.origin, {
      pipelining: options.keepAlive === 0 ? 0 : 1,
      // Below the upstream's own idle timeout, or it closes a socket in the instant that we use it: 8 of 120 POSTs lost.
      keepAliveTimeout: Math.max(options.keepAlive, 1),
      keepAliveMaxTimeout: Math.max(options.keepAlive, 1),
      maxHeaderSize: options.maxHeader,
      connect: (to, done) => void connector(to, done),
    });
  }

  // Before undici's own listener, which comes with the connection; over when all of them have run.
  readonly #onBreak = (): void => {
    this.#breaking = true;
    queueMicrotask(() => {
      this.#breaking = false;
    });
  };
}
