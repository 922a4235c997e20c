// The demo's app: any upstream that knows nothing of signatures. It answers everything and remembers what reached it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LOWER_CASE_HEADER } from '../core/signature.ts';
import { bind } from '../downstream/bind.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface Received {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  readonly signature: string | null;
}

export interface DemoUpstream {
  readonly port: number;
  /** What came in since the last call. */
  take(): readonly Received[];
  close(): Promise<void>;
}

/** The most that it keeps of a body, in bytes. */
const MOST_BYTES = 1024 * 1024;

/** It remembers the last `keep` requests. `onRequest` is told of each one, once it is answered. */
export async function startDemoUpstream(
  at: { host: string; port: number; keep: number },
  onRequest: (received: Received) => void = () => {},
): Promise<DemoUpstream> {
  let received: Received[] = [];
  const server = createServer((request, response) => {
    readBody(request).then(
      (body) => {
        const signature = request.headers[LOWER_CASE_HEADER];
        const entry = {
          method: request.method ?? '',
          target: request.url ?? '',
          body,
          signature: typeof signature === 'string' ? signature : null,
        };
        if (received.length < at.keep) received.push(entry);
        reply(response, entry);
        onRequest(entry);
      },
      () => response.destroy(),
    );
  });
  server.keepAliveTimeout = 5000;
  const port = await bind(server, at.host, at.port);
  return {
    port,
    take() {
      const taken = received;
      received = [];
      return taken;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

function reply(response: ServerResponse, { method, target, body }: Received): void {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(`${JSON.stringify({ status: 'ok', app: 'demo', method, target, bytes: body.length })}\n`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes <= MOST_BYTES) chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
