// Sends a request and records its result, for tests that check whether one was lost.
import { type Agent, type ClientRequest, request } from 'node:http';
import { request as tlsRequest } from 'node:https';

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

/** Never rejects: the status is 0 if no response came. `text`: the body of the response. */
export function post({ url, body, headers = {}, agent = false, signal, holdUntil }: Post) {
  return new Promise<{ readonly status: number; readonly trouble: string; readonly text: string }>((resolve) => {
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
