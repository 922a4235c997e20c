// An upstream that accepts anything: bare LF, bad lengths, odd transfer codings, folded lines, pipelining. It stands
// for the worst server behind the proxy and records, byte by byte, each request that it parsed. It must never be
// stricter than necessary: no test can catch what it does not see. It does with each request exactly what a test says.
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { freePort } from '../machine/free-port.ts';
import { type Listening, listening } from '../machine/listening.ts';

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export type SeenRequest = NonNullable<ReturnType<typeof takeRequest>>;

/** The reply: the response's bytes, `cut` to close without a response, or a function that writes by itself. */
export type Answer = string | Buffer | 'cut' | ((socket: Socket) => void);

export type LenientUpstream = Awaited<ReturnType<typeof startLenientUpstream>>;

interface LenientOptions {
  /** Its certificate and key, PEM, if it speaks TLS. */
  readonly identity?: { readonly cert: string; readonly key: string } | undefined;
  /** A unix socket instead of a loopback port of its own. */
  readonly path?: string;
  /** Its side of a connection stays open when the proxy closes the other. */
  readonly allowHalfOpen?: true;
}

export async function startLenientUpstream({ identity, path, allowHalfOpen }: LenientOptions = {}) {
  const seen: SeenRequest[] = [];
  const pending = new Map<number, Buffer>();
  let give: (request: SeenRequest) => Answer = (request) =>
    request.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n' : OK;
  let connections = 0;

  const onConnection = (socket: Socket) => {
    const connection = connections++;
    pending.set(connection, Buffer.alloc(0));
    socket.on('error', () => socket.destroy());
    let asked = false;
    // One that only looked whether this upstream is there is never kept.
    socket.on('end', () => void (asked || socket.end()));
    socket.on('data', (piece: Buffer) => {
      let bytes = Buffer.concat([pending.get(connection) ?? Buffer.alloc(0), piece]);
      for (let found = takeRequest(bytes, connection); found !== null; found = takeRequest(bytes, connection)) {
        bytes = bytes.subarray(found.raw.length);
        seen.push(found);
        asked = true;
        respond(socket, give(found));
      }
      pending.set(connection, bytes);
    });
  };
  const where = path ?? (await freePort());
  let current: Listening;
  const listen = async () => {
    const options = { allowHalfOpen: allowHalfOpen ?? false };
    const server =
      identity === undefined ? createServer(options, onConnection) : createTlsServer(identity, onConnection);
    current = await listening(server, where);
  };
  await listen();
  const stop = () => current.close();
  const answer = (next: (request: SeenRequest) => Answer) => {
    give = next;
  };
  const scheme = identity === undefined ? 'http' : 'https';
  return {
    port: typeof where === 'number' ? where : 0,
    url: path === undefined ? `${scheme}://127.0.0.1:${where}` : `unix://${path}`,
    seen,
    /** `METHOD target body` of each request, the body as latin1. */
    list: () => seen.map(({ method, target, body }) => `${method} ${target} ${body.toString('latin1')}`.trimEnd()),
    /** Sets the next responses; unless set, 200 `ok`. */
    answer,
    script: (act: (socket: Socket, request: SeenRequest) => unknown) =>
      answer((request) => (socket) => void act(socket, request)),
    /** Bytes that made no complete request, by connection, closed connections included. */
    leftovers: () => [...pending.values()].filter((bytes) => bytes.length > 0),
    /** The currently open ones. */
    sockets: () => current.sockets,
    /** Stops listening and drops every connection, as a restart does. The port stays its own for `listen`. */
    stop,
    listen,
    close: stop,
  };
}

function respond(socket: Socket, answer: Answer): void {
  if (answer === 'cut') socket.destroy();
  else if (typeof answer === 'function') answer(socket);
  else socket.write(typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer);
}

/**
 * The first complete request in `bytes`, as the laxest of servers would read it; null if it needs more. `lines` are the
 * header lines as received, in order, as latin1 text; `body` is without its framing; connections count from 0.
 */
export function takeRequest(bytes: Buffer, connection = 0) {
  const text = bytes.toString('latin1');
  const skipped = /^[\r\n]*/.exec(text)?.[0].length ?? 0;
  const blank = /\r?\n\r?\n/.exec(text.slice(skipped));
  if (blank === null) return null;
  const headEnd = skipped + blank.index + blank[0].length;
  const [requestLine = '', ...lines] = text.slice(skipped, skipped + blank.index).split(/\r?\n/);
  const [method = '', target = ''] = requestLine.split(/[ \t]+/);
  const header = (name: RegExp) =>
    lines
      .find((line) => name.test(line))
      ?.replace(/^[^:]*:/, '')
      .trim() ?? null;
  const isChunked = /chunked/i.test(header(/^\s*transfer.encoding\s*:/i) ?? '');
  const rest = text.slice(headEnd);
  const body = isChunked ? takeChunks(rest) : takeLength(rest, header(/^\s*content[-_.]length\s*:/i));
  if (body === null) return null;
  const raw = bytes.subarray(0, headEnd + body.length);
  const content = Buffer.from(body.content, 'latin1');
  return { raw, requestLine, method, target, lines, body: content, trailers: body.trailers, connection };
}

interface Taken {
  readonly content: string;
  readonly trailers: readonly string[];
  readonly length: number;
}

function takeLength(rest: string, declared: string | null): Taken | null {
  const length = Number.parseInt(declared ?? '0', 10) || 0;
  return rest.length < length ? null : { content: rest.slice(0, length), trailers: [], length };
}

function takeChunks(rest: string): Taken | null {
  let content = '';
  let at = 0;
  for (;;) {
    const line = /^[^\n]*\n/.exec(rest.slice(at))?.[0];
    if (line === undefined) return null;
    const size = Number.parseInt(line, 16) || 0;
    at += line.length;
    if (size === 0) break;
    if (rest.length < at + size) return null;
    content += rest.slice(at, at + size);
    at += size;
    at += /^\r?\n?/.exec(rest.slice(at))?.[0].length ?? 0;
  }
  const trailers: string[] = [];
  for (;;) {
    const line = /^[^\n]*\n/.exec(rest.slice(at))?.[0];
    if (line === undefined) return null;
    at += line.length;
    if (/^\r?\n$/.test(line)) return { content, trailers, length: at };
    trailers.push(line.replace(/\r?\n$/, ''));
  }
}
