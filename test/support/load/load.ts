// Sends requests over a number of connections and records the result of each, for tests that check whether one was
// lost.
import { Agent, type ClientRequest, request } from 'node:http';
import { request as tlsRequest } from 'node:https';

export interface Sent {
  /** 0 if no response came. */
  readonly status: number;
  readonly trouble: string;
  /** The body of the response. */
  readonly text: string;
}

export interface Post {
  /** Over TLS any certificate is accepted. */
  readonly url: string;
  readonly body: Buffer | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent | false;
  readonly signal?: AbortSignal;
  /** Before the end of the body; by then the head and the body are being sent. */
  readonly holdUntil?: Promise<unknown>;
}

/** Never rejects. */
export function post({ url, body, headers = {}, agent = false, signal, holdUntil }: Post): Promise<Sent> {
  return new Promise((resolve) => {
    const bytes = Buffer.from(body);
    let text = '';
    const done = (status: number, trouble = '') => resolve({ status, trouble, text });
    const sending: ClientRequest = (url.startsWith('https:') ? tlsRequest : request)(
      url,
      {
        method: 'POST',
        agent,
        rejectUnauthorized: false,
        ...(signal && { signal }),
        headers: { 'Content-Type': 'application/json', 'Content-Length': bytes.length, ...headers },
      },
      (response) => {
        response.on('error', (error) => done(0, error.message));
        response.on('data', (piece) => {
          text += piece;
        });
        response.on('end', () => done(response.statusCode ?? 0));
      },
    );
    sending.on('error', (error: NodeJS.ErrnoException) => done(0, error.code ?? error.message));
    if (holdUntil === undefined) {
      sending.end(bytes);
      return;
    }
    sending.write(bytes.subarray(0, -1));
    holdUntil.then(() => sending.end(bytes.subarray(-1)));
  });
}

export interface Load {
  /** Stops sending; resolves with all results, in flight included. */
  stop(): Promise<readonly Sent[]>;
  /** How many have been answered so far. */
  count(): number;
}

/** Sends the same request repeatedly over `connections` keep-alive connections. */
export function startLoad({
  url,
  body,
  headers = {},
  connections,
}: Omit<Post, 'agent'> & { connections: number }): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const results: Sent[] = [];
  let running = true;
  const worker = async () => {
    while (running) results.push(await post({ url, body, headers, agent }));
  };
  const workers = Array.from({ length: connections }, worker);
  return {
    count: () => results.length,
    async stop() {
      running = false;
      await Promise.all(workers);
      agent.destroy();
      return results;
    },
  };
}
