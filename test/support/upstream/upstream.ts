// An ordinary node:http upstream that records what it received, for tests about meaning, not bytes.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Upstream {
  readonly port: number;
  readonly url: string;
  readonly requests: ReceivedRequest[];
  readonly server: Server;
  close(): Promise<void>;
}

export type Handler = (request: ReceivedRequest, response: ServerResponse) => void;

/** Starts it on a free loopback port (or on `port`); `handle` responds, by default 200 `{"status":"ok"}`. */
export async function startUpstream(options: { handle?: Handler; port?: number } = {}): Promise<Upstream> {
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
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    server,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
