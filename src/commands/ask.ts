// One HTTP request and the beginning of its answer, for commands that look at a server from outside. No redirect is
// followed, no connection reused, and nothing waits past the deadline.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';

interface Question {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** With a body it is a POST, else a GET. */
  readonly body?: Buffer;
  /** Milliseconds for everything, from the connection to the end of what is read. */
  readonly timeout: number;
  /** `any`: whatever certificate it shows. Only for a listener of the proxy on this host, whose name is another one. */
  readonly certificate?: 'any';
}

/** Bytes that are kept of an answer's body: enough for a refusal, or the causes of not being ready. */
const SHOWN_BYTES = 512;
const MOST_BYTES = 8 * 1024 * 1024;

const TROUBLES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name is not known',
};

/** `status` is null if there is no answer; `text` is then the reason. */
interface Answer {
  readonly status: number | null;
  readonly text: string;
}

/** As `askWhole`, but `text` is the beginning of the body, as one line without control characters. */
export async function ask(question: Question): Promise<Answer> {
  const { status, text } = await askWhole(question, SHOWN_BYTES);
  const shown = text.slice(0, SHOWN_BYTES).replace(/[^\x20-\x7e]+/g, ' ');
  return { status, text: shown.trim() };
}

/** Sends the request. `text` is the body; it ends soon after `mostBytes`. Never rejects. */
export async function askWhole(question: Question, mostBytes = MOST_BYTES): Promise<Answer> {
  const { url, headers, body, timeout } = question;
  // An import would evaluate every export of node:http, and its WebSocket loads Node's own undici. A healthcheck, which
  // runs within the proxy's memory limit, takes 54 MB and 40 ms without that, 64 MB and 60 ms with it.
  const { request: send } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
  const signal = AbortSignal.timeout(timeout);
  try {
    const method = body === undefined ? 'GET' : 'POST';
    const rejectUnauthorized = question.certificate !== 'any';
    const request = send(url, { method, headers: { ...headers }, agent: false, signal, rejectUnauthorized });
    request.on('error', () => {}); // before the response `once` rejects with it, afterwards the reader of the body
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk;
      if (text.length >= mostBytes) break;
    }
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    if (signal.aborted) return { status: null, text: `no answer within ${timeout / 1000} s` };
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { status: null, text: TROUBLES[code] ?? (code || message) };
  }
}
