// One HTTP request and the beginning of its answer, and the running proxy's admin port, for commands that look at a server
// from outside. No redirect is followed, no connection reused, and nothing waits past the deadline. These commands share
// the container's memory with the proxy, so this must never load a part of it: only the YAML reader, if a configuration
// file mentions `admin`.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { ADMIN_PORT, CONFIG_FILE, localUrl } from '../base/default-places.ts';
import { fileProblem } from '../base/errors.ts';
import type { Env } from '../config/environment.ts';

/**
 * $ADMIN_HOST and $ADMIN_PORT stand before the file. A running proxy keeps its address if its file breaks or goes, so
 * anything readable counts. `problem`: why a file that was named is not read.
 */
export async function adminPort(named: string | null, env: Env): Promise<{ url: URL; problem: string | null }> {
  let [host, port]: unknown[] = [];
  let problem: string | null = null;
  try {
    const text = await readFile(named ?? CONFIG_FILE, 'utf8');
    if (text.includes('admin')) {
      const { looseValue } = await import('../config/yaml.ts');
      const [section = ''] = /^[ \t]*admin:.*(?:\n(?![A-Za-z]).*)*/m.exec(text) ?? [];
      [host, port] = ['host', 'port'].map((key) => {
        const value = looseValue(text, ['admin', key]);
        // The parser gives up on some problems: then the text of the section tells.
        if (value !== undefined && typeof value !== 'object') return value;
        return new RegExp(`\\b${key}:[ \\t]*["']?([^\\s,}"']+)`).exec(section)?.[1];
      });
    }
  } catch (error) {
    problem = named === null ? null : `cannot use ${named}: ${fileProblem(error)}`;
  }
  const number = portNumber(env.ADMIN_PORT) ?? portNumber(port) ?? ADMIN_PORT;
  return { url: localUrl(env.ADMIN_HOST || host, number), problem };
}

/** Null if it is not a port, such as Kubernetes' service link `tcp://…`. */
function portNumber(value: unknown): number | null {
  const text = String(value);
  return /^[0-9]{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536 ? Number(text) : null;
}

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

const PROBLEMS: Readonly<Record<string, string>> = {
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
    const answer = Promise.withResolvers<IncomingMessage>();
    // Without a listener for 101 there would be neither a response nor an error.
    request.on('response', answer.resolve).on('upgrade', (response: IncomingMessage, socket) => {
      socket.destroy();
      answer.resolve(response);
    });
    request.on('error', answer.reject).end(body); // after the response its reader rejects
    const response = await answer.promise;
    if (response.statusCode === 101) return { status: 101, text: '' };
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk;
      if (text.length >= mostBytes) break;
    }
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    if (signal.aborted) return { status: null, text: `no answer within ${timeout / 1000} s` };
    const { code = '', message } = error as NodeJS.ErrnoException;
    const isHttp = !code.startsWith('HPE_');
    return { status: null, text: isHttp ? (PROBLEMS[code] ?? (code || message)) : 'the answer is not HTTP' };
  }
}
