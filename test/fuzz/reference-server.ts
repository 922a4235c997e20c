// How node:http's server reads bytes: a server without a socket, fed piece by piece. Its limits are wider than those of
// the parser under test, so a limit is never mistaken for a grammar error.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Message } from './known-differences.ts';

export interface TakenRequest extends Message {
  readonly method: string;
  readonly target: string;
}

interface TakenRequests {
  readonly requests: TakenRequest[];
  /** llhttp's code for bytes that are not HTTP; null if there are none. */
  refused: string | null;
}

const OPTIONS = {
  maxHeaderSize: 2 * 1024 * 1024,
  requireHostHeader: false,
  requestTimeout: 0,
  headersTimeout: 0,
  httpValidation: 'strict',
} as const;

export class ReferenceServer {
  readonly #server: Server;
  readonly #taken = new WeakMap<object, TakenRequests>();

  constructor() {
    this.#server = createServer(OPTIONS);
    this.#server.maxHeadersCount = 0;
    const listener = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    for (const event of ['request', 'checkContinue', 'checkExpectation']) this.#server.on(event, listener);
    this.#server.on('connect', (request, socket) => {
      const taken = this.#taken.get(request.socket);
      taken?.requests.push({ ...headOf(request), keepAlive: false, complete: true });
      socket.destroy();
    });
    // Not ended at once: a request that was complete before the broken bytes is still to be reported.
    this.#server.on('clientError', (error: Error & { code?: string }, socket) => {
      const taken = this.#taken.get(socket);
      if (taken !== undefined && error.code?.startsWith('HPE_')) taken.refused ??= error.code;
    });
  }

  async take(pieces: readonly Buffer[]): Promise<TakenRequests> {
    const wire = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
    wire.on('error', () => {});
    const taken: TakenRequests = { requests: [], refused: null };
    this.#taken.set(wire, taken);
    this.#server.emit('connection', wire as unknown as Socket);
    for (const piece of pieces) {
      if (wire.destroyed) break;
      wire.push(piece);
      await turn();
    }
    await turn();
    wire.destroy();
    return taken;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const taken: TakenRequest = { ...headOf(request), keepAlive: response.shouldKeepAlive, complete: false };
    this.#taken.get(request.socket)?.requests.push(taken);
    request.on('data', (piece: Buffer) => {
      taken.body += piece.toString('latin1');
    });
    request.on('error', () => {});
    request.on('end', () => {
      if (!request.complete) return;
      taken.trailers = request.rawTrailers;
      taken.complete = true;
      response.end();
    });
  }
}

function headOf(request: IncomingMessage) {
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    version: request.httpVersion,
    lines: request.rawHeaders,
    body: '',
    trailers: [],
  };
}

/** All effects of a piece happen before the next turn of the event loop: there is no socket and no thread. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
