// An ordinary node:http upstream that records what it received, for tests about meaning, not bytes.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { freePort } from '../machine/free-port.ts';
import { listening } from '../machine/listening.ts';

export interface ReceivedRequest {
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export type Upstream = Awaited<ReturnType<typeof startUpstream>>;

export type Handler = (request: ReceivedRequest, response: ServerResponse) => void;

/**
 * Starts it on a port that stays its own once it is closed (or on `port`); `handle` responds, by default 200
 * `{"status":"ok"}`.
 */
export async function startUpstream(options: { handle?: Handler; port?: number } = {}) {
  const requests: ReceivedRequest[] = [];
  const handle = options.handle ?? ((_request, response) => response.end('{"status":"ok"}'));
  const server = createServer((incoming, response) => {
    const pieces: Buffer[] = [];
    incoming.on('error', () => {});
    incoming.on('data', (piece: Buffer) => pieces.push(piece));
    incoming.on('end', () => {
      const { method = '', url: target = '', rawHeaders, headers } = incoming;
      const request = { method, target, rawHeaders, headers, body: Buffer.concat(pieces) };
      requests.push(request);
      handle(request, response);
    });
  });
  const { port, close } = await listening(server, options.port ?? (await freePort()));
  return { port, url: `http://127.0.0.1:${port}`, requests, server, close };
}
