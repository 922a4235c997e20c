// The running proxy as commands see it from outside: its admin port, one HTTP request to it or to another server, and
// its status. No redirect is followed, no connection reused, and nothing waits past the deadline. These commands share
// the container's memory with the proxy, so this file must load no part of the proxy.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { ADMIN_PORT, CONFIG_FILE, localUrl, namedConfig, VERSION } from '../base/default-places.ts';
import { fileProblem } from '../base/regular-file.ts';
import type { Env } from '../config/variables.ts';
import type { ApiStatus } from '../health/health.ts';
import type { Io } from './command.ts';

const COMMENT = /(?:^|[ \t])#.*/gm;
/** The section `admin`: in braces, as in JSON, or up to the next line that is not indented. Neither `.` nor `^` passes a CR or BOM. */
const ADMIN = /(?:^|[{,])[ \t]*["']?admin["']?[ \t]*:[ \t]*(?:\{[^}]*|.*(?:\n(?!\S).*)*)/m;

/**
 * The admin port's address; $ADMIN_HOST and $ADMIN_PORT override the file. It stays in use even if the file breaks, so
 * the file is searched as text, and need not be valid YAML. `problem`: why a file that was named cannot be read.
 */
export async function adminPort(named: string | null, env: Env): Promise<{ url: URL; problem: string | null }> {
  let problem: string | null = null;
  const text = await readFile(named ?? CONFIG_FILE, 'utf8').catch((error: unknown) => {
    problem = named === null ? null : `cannot use ${named}: ${fileProblem(error)}`;
    return '';
  });
  const [section = ''] = ADMIN.exec(text.replaceAll(/[\r\ufeff]/g, '').replace(COMMENT, '')) ?? [];
  const written = (key: string) => new RegExp(`\\b${key}["']?[ \\t]*:\\s*["']?([^\\s,}"']+)`).exec(section)?.[1];
  // $ADMIN_PORT may be one of Kubernetes' service links (`tcp://…`), which is no port.
  const isPort = (text: string) => /^[0-9]{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536;
  const port = [env.ADMIN_PORT, written('port')].map(String).find(isPort) ?? ADMIN_PORT;
  return { url: localUrl(env.ADMIN_HOST || written('host'), Number(port)), problem };
}

/** The URL of `path` on the admin port, for a command with the option `--config`. Warns of a file that it cannot read. */
export async function adminUrl(path: string, option: string | undefined, { env, stderr }: Io): Promise<URL> {
  const { url, problem } = await adminPort(namedConfig(option, env), env);
  if (problem !== null) stderr(`warning: ${problem}\n`);
  return new URL(path, url);
}

interface Question {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body of a POST; without one it is a GET. */
  readonly body?: Buffer;
  /** Milliseconds for everything, from the connection to the end of what is read. */
  readonly timeout: number;
  /** `any`: any certificate will do. Only for the proxy's listener on this host: its certificate has another name. */
  readonly certificate?: 'any';
}

/** Bytes of a body that `ask` returns: enough for a refusal, or for the list of causes why the proxy is not ready. */
const SHOWN_BYTES = 512;
const MOST_BYTES = 8 * 1024 * 1024;

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name is not known',
};

/** Like `askWhole`, but `text` is only the start of the body, in one line: a space replaces all but printable ASCII. */
export async function ask(question: Question) {
  const { status, text } = await askWhole(question, SHOWN_BYTES);
  const shown = text.slice(0, SHOWN_BYTES).replaceAll(/[^\x20-\x7e]+/g, ' ');
  return { status, text: shown.trim() };
}

/** Sends the request. `text`: the body, cut off soon after `mostBytes`, or, if `status` is null, why there is no answer. */
export async function askWhole(question: Question, mostBytes = MOST_BYTES) {
  const signal = AbortSignal.timeout(question.timeout);
  try {
    const response = await begun(question, signal);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk;
      if (text.length >= mostBytes) break;
    }
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    const text = signal.aborted ? `no answer within ${question.timeout / 1000} s` : whyNoAnswer(error);
    return { status: null, text };
  }
}

/** Sends the request; resolves once the response has begun. An error after that rejects its reading. */
export async function begun(question: Omit<Question, 'timeout'>, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, headers, body } = question;
  // An import would evaluate every export of node:http, and its WebSocket loads Node's undici (nodejs/node#57649). A
  // healthcheck, which runs within the proxy's memory limit, takes 64 MB and 60 ms with an import, 54 and 40 without.
  const { request: send } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
  const method = body === undefined ? 'GET' : 'POST';
  const rejectUnauthorized = question.certificate !== 'any';
  const request = send(url, { method, headers: { ...headers }, agent: false, signal, rejectUnauthorized });
  const answer = Promise.withResolvers<IncomingMessage>();
  // Without a listener for `upgrade`, a 101 would cause neither a response nor an error.
  request.on('upgrade', (response: IncomingMessage, socket) => {
    socket.destroy();
    response.push(null);
    answer.resolve(response);
  });
  request.on('response', answer.resolve).on('error', answer.reject).end(body);
  return answer.promise;
}

export function whyNoAnswer(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return code.startsWith('HPE_') ? 'the answer is not HTTP' : (PROBLEMS[code] ?? (code || message));
}

// --- the proxy's answers, as far as commands read them

/** The JSON object of an answer, whose keys may be lacking; none of them if it is no JSON object. */
export function readAs<T extends object>(text: string): Partial<T> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Milliseconds. The answer takes about a second at most, since it waits for the upstream and the deferred store. */
const TIMEOUT = 5_000;

/**
 * The status, or a text that says why there is none. Another program, or another version of the proxy, may listen on the
 * port: that must neither crash a command nor pass for a healthy proxy.
 */
export async function askStatus(admin: URL): Promise<ApiStatus | string> {
  const { status: code, text } = await askWhole({ url: new URL('/api/status', admin), timeout: TIMEOUT });
  if (code === null) return text;
  const status = readAs<ApiStatus>(text);
  const isOurs = code === 200 && status.version === VERSION;
  return isOurs ? (status as ApiStatus) : `it answers ${code}, but not as version ${VERSION} of the proxy does`;
}
