// What node:http (llhttp, strict) takes the same bytes for: a server without a socket, fed piece by piece. It tells of whole
// requests alone; all limits are wider than the prototype's, so that a limit never looks like a grammar.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** One whole request, every part one character a byte. */
export interface Taken {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** Flat: name, value, … */
  readonly lines: readonly string[];
  readonly body: string;
}

/** In 24.21 and 26; the types know it not. */
const STRICT: object = { httpValidation: 'strict' };

export class Llhttp {
  readonly #server: Server;
  readonly #taken = new WeakMap<object, Taken[]>();

  constructor() {
    const options = { maxHeaderSize: 1024 * 1024, requireHostHeader: false, requestTimeout: 0, headersTimeout: 0 };
    this.#server = createServer({ ...options, ...STRICT });
    this.#server.maxHeadersCount = 0;
    const listener = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    for (const event of ['request', 'checkContinue', 'checkExpectation']) this.#server.on(event, listener);
    this.#server.on('connect', (_request, socket) => socket.destroy());
    // Not ended at once: a request that was whole before the broken bytes has yet to be told of.
    this.#server.on('clientError', () => {});
  }

  async take(pieces: readonly Buffer[]): Promise<readonly Taken[]> {
    const wire = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
    wire.on('error', () => {});
    const taken: Taken[] = [];
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
    const taken = this.#taken.get(request.socket);
    const body: Buffer[] = [];
    request.on('data', (piece: Buffer) => body.push(piece));
    request.on('error', () => {});
    request.on('end', () => {
      if (!request.complete) return;
      taken?.push({
        method: request.method ?? '',
        target: request.url ?? '',
        version: request.httpVersion,
        lines: request.rawHeaders,
        body: Buffer.concat(body).toString('latin1'),
      });
      response.end();
    });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
