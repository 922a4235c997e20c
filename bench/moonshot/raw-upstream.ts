// The second way to the upstream: keep-alive sockets of our own, one request a socket at a time, heads byte for byte. Nothing is
// ever sent twice, and nothing is sent without a permit.
import { connect, type Socket } from 'node:net';
import { isPermit, type Permit } from '../../src/core/permit.ts';
import type { Upstream } from './connection.ts';
import { withoutHopByHop } from './grammar.ts';
import { type Carrier, type Reply, type ResponseHead, writeBoth } from './reply.ts';
import type { RequestHead } from './request-parser.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';

export interface RawOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Milliseconds: a socket that idled longer is not used again; a response's head or next piece may take this long. */
  readonly keepAlive: number;
  readonly responseTimeout: number;
  readonly clock: { readonly now: number };
}

interface Waiting {
  readonly body: Buffer;
  readonly reply: Reply;
}

const TICK_MS = 250;

export class RawUpstream implements Upstream {
  readonly options: RawOptions;
  readonly #idle: Line[] = [];
  readonly #all = new Set<Line>();
  readonly #queue: Waiting[] = [];
  readonly #tick: NodeJS.Timeout;

  constructor(options: RawOptions) {
    this.options = options;
    this.#tick = setInterval(() => {
      for (const line of this.#all) if (line.deadline < options.clock.now) line.expire();
    }, TICK_MS);
    this.#tick.unref();
  }

  send(permit: Permit, given: Buffer, reply: Reply): void {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    const body = permit.body ?? given;
    const line = this.#idle.pop() ?? (this.#all.size < this.options.connections ? this.#open() : null);
    if (line !== null) line.carry(body, reply);
    else this.#queue.push({ body, reply });
  }

  /** A line has carried a response and can carry another request. */
  freed(line: Line): void {
    const next = this.#queue.shift();
    if (next !== undefined) line.carry(next.body, next.reply);
    else this.#idle.push(line);
  }

  closed(line: Line): void {
    this.#all.delete(line);
    const at = this.#idle.indexOf(line);
    if (at >= 0) this.#idle.splice(at, 1);
    const next = this.#queue.shift();
    if (next !== undefined) this.#open().carry(next.body, next.reply);
  }

  close(): void {
    clearInterval(this.#tick);
    this.#queue.length = 0;
    for (const line of this.#all) line.expire();
  }

  #open(): Line {
    const line = new Line(this);
    this.#all.add(line);
    return line;
  }
}

/** One socket to the upstream. */
class Line implements Carrier, ResponseSink {
  deadline = Number.POSITIVE_INFINITY;
  readonly #pool: RawUpstream;
  readonly #socket: Socket;
  readonly #parser = new ResponseParser(this);
  #reply: Reply | null = null;

  constructor(pool: RawUpstream) {
    this.#pool = pool;
    const { host, port } = pool.options;
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onEnd);
    this.#socket.on('error', () => this.#fail(502));
    this.#socket.on('close', () => {
      this.#fail(502);
      pool.closed(this);
    });
  }

  carry(body: Buffer, reply: Reply): void {
    this.#reply = reply;
    reply.carrier = this;
    this.#await(this.#pool.options.responseTimeout);
    this.#parser.expect(reply.request.head.method);
    write(this.#socket, reply.request, body);
  }

  abort(): void {
    this.#reply = null;
    this.#socket.destroy();
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  expire(): void {
    this.#fail(504);
  }

  interim(text: string): void {
    if (this.#reply?.interim(text) === false) this.#fail(502);
  }

  begin(head: ResponseHead): void {
    this.#reply?.begin(head);
  }

  data(piece: Buffer): void {
    this.#await(this.#pool.options.responseTimeout);
    if (this.#reply?.data(piece) === false) this.#socket.pause();
  }

  end(reusable: boolean): void {
    const reply = this.#reply;
    this.#reply = null;
    if (reusable) {
      this.#await(this.#pool.options.keepAlive);
      this.resume();
      this.#pool.freed(this);
    } else this.#socket.destroy();
    reply?.end();
  }

  #await(milliseconds: number): void {
    this.deadline = this.#pool.options.clock.now + milliseconds;
  }

  #fail(status: 502 | 504): void {
    const reply = this.#reply;
    this.#reply = null;
    this.#socket.destroy();
    reply?.fail(status);
  }

  readonly #onData = (piece: Buffer): void => this.#guarded(() => this.#parser.push(piece));
  readonly #onEnd = (): void => this.#guarded(() => this.#parser.finish());

  /** What the upstream should not have sent ends its socket, and the answer of the request that it carried. */
  #guarded(read: () => void): void {
    try {
      read();
    } catch {
      this.#fail(502);
    }
  }
}

/** The request as it came: in one piece with its body where nothing of its head has to go. */
function write(socket: Socket, { head, text, linesAt, lines, bytes }: RequestHead, body: Buffer): void {
  const chunked = head.transferEncodings > 0;
  const kept = withoutHopByHop(text, linesAt, lines);
  if (kept !== null || head.version === '1.0') {
    const first = `${head.method} ${head.target} HTTP/1.1\r\n`;
    const framing = chunked ? `Content-Length: ${body.length}\r\n` : '';
    writeBoth(socket, `${first}${kept ?? text.slice(linesAt, -2)}${framing}\r\n`, body);
  } else if (body.length === 0) socket.write(bytes);
  else if (body.buffer === bytes.buffer && body.byteOffset === bytes.byteOffset + bytes.length) {
    socket.write(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length + body.length));
  } else writeBoth(socket, text, body);
}
