// The load: wrk with one thread, sending the same POST each time or one with a number in its body. Bodies are made here
// and signed by the tests' own signer.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sign } from '../../test/support/deliveries/signer.ts';
import type { Post } from './launch.ts';

const SCRIPT = fileURLToPath(new URL('../peers/post.lua', import.meta.url));
const run = promisify(execFile);

export interface Load {
  /** Bytes of a body. */
  readonly size: number;
  readonly connections: number;
  /** Without a signature every request is expected to be refused. */
  readonly signed: boolean;
  /** Signed with a secret that no subject has: every request is expected to be refused, after its body was read. */
  readonly wrong?: true;
  /** Requests a second; null for as many as possible. */
  readonly rate: number | null;
  /** How many signed bodies take turns; Infinity: none is repeated. One unless given. */
  readonly bodies?: number;
  /** The first requests of a fresh process, not warmed up: on kept connections, on a new one each, or its start alone. */
  readonly fresh?: 'kept' | 'new' | 'start';
  /** To a forward route, where nothing is verified. */
  readonly path?: '/open';
  /** Sockets of other programs on the machine. */
  readonly others?: number;
  /** The subject's share of a core, in thousandths; the whole core unless given. */
  readonly millicores?: number;
  /** With the seven lines that a balancer and its client add, so that a head has eleven. */
  readonly lines?: 'balancer';
}

/** Signed bodies prepared for each second in which none is repeated: more than any subject handles. */
const MOST_A_SECOND = 25_000;
const WRONG_SECRET = randomBytes(33).toString('base64');
/** Digits of a body's number, just before its end. */
const DIGITS = 8;
const TAIL = '"}';

const BALANCER_LINES = [
  'User-Agent: python-requests/2.32.3',
  'Accept: */*',
  'Accept-Encoding: gzip, deflate',
  'X-Forwarded-For: 203.0.113.7',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Port: 443',
  'X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678',
];

/** The counts of wrk. Times in microseconds. */
export interface Outcome {
  readonly requests: number;
  readonly micros: number;
  readonly p50: number;
  readonly p99: number;
  /** Responses above 399. */
  readonly notOk: number;
  /** Failed connections, and requests that timed out. */
  readonly broken: number;
}

/** The secrets of a run and the bodies that they sign. The last secret signs, so no earlier one ends the search. */
export class Traffic {
  readonly secrets = Array.from({ length: 5 }, () => randomBytes(33).toString('base64'));
  readonly #directory: string;
  /** The number of the next body. */
  #next = 0;
  /** How many numbered bodies are already signed, by file. */
  readonly #signed = new Map<string, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  body(size: number): Buffer {
    const frame = { items: [{ entrupy_id: 'ENTPY12345', status: { result: { id: 'authentic' } } }], notes: '' };
    const rest = size - JSON.stringify(frame).length;
    return Buffer.from(
      JSON.stringify({ ...frame, notes: 'Handle with care. '.repeat(rest).slice(0, Math.max(rest, 0)) }),
    );
  }

  /** A hand-made request with the next numbered body. */
  next(size: number, secret: string): Post {
    const body = numbered(this.body(size), this.#next++);
    return { head: headOf(size, `Entrupy-Signature: ${sign(secret, body)}\r\n`), body };
  }

  /** The signatures of all numbered bodies up to `until`, without separators; post.lua picks them by number. */
  #signatures(size: number, secret: string, until: number): string {
    const file = join(this.#directory, `signatures-${size}-${this.secrets.indexOf(secret)}`);
    const ready = this.#signed.get(file) ?? 0;
    const more: string[] = [];
    const body = this.body(size);
    for (let nth = ready; nth < until; nth++) more.push(sign(secret, numbered(body, nth)));
    appendFileSync(file, more.join(''));
    this.#signed.set(file, Math.max(ready, until));
    return file;
  }

  signature(size: number, secret: string): string {
    return sign(secret, this.body(size));
  }

  /** A hand-made request: valid, with one byte changed, or without a signature. */
  post(size: number, secret: string, kind: 'signed' | 'tampered' | 'unsigned'): Post {
    const body = this.body(size);
    const signature = kind === 'unsigned' ? '' : `Entrupy-Signature: ${sign(secret, body)}\r\n`;
    if (kind === 'tampered') body[size - 3] = 0x21;
    return { head: headOf(size, signature), body };
  }

  async wrk(load: Load, to: { port: number; secret: string; seconds: number }): Promise<Outcome> {
    const file = join(this.#directory, `body-${load.size}`);
    writeFileSync(file, this.body(load.size));
    const secret = load.wrong === true ? WRONG_SECRET : to.secret;
    const signature = load.signed ? this.signature(load.size, secret) : '-';
    const { bodies = 1 } = load;
    // The numbers of bodies that are not repeated only grow: no subject has seen the next one.
    const from = bodies === Number.POSITIVE_INFINITY ? this.#next : 0;
    const until = Math.min(bodies, from + to.seconds * MOST_A_SECOND);
    const numbers = [String(from), String(until)];
    const numbered = bodies === 1 ? [] : [this.#signatures(load.size, to.secret, until), ...numbers];
    const pause = load.rate === null ? 0 : Math.round((1000 * load.connections) / load.rate);
    const { stdout } = await run('wrk', [
      ...['--threads', '1', '--connections', String(load.connections), '--duration', `${to.seconds}s`],
      ...['--timeout', '10s', '--latency', '--script', SCRIPT, `http://127.0.0.1:${to.port}${load.path ?? '/notify'}`],
      ...(load.fresh === 'new' ? ['--header', 'Connection: close'] : []),
      ...(load.lines === 'balancer' ? BALANCER_LINES.flatMap((line) => ['--header', line]) : []),
      ...['--', file, signature, String(pause), ...numbered],
    ]);
    const line = /^\{.*\}$/m.exec(stdout);
    if (line === null) throw new Error(`wrk said:\n${stdout}`);
    const outcome = JSON.parse(line[0]) as Outcome;
    // The subject has also seen the requests in flight at the end, and wrk builds one extra request to inspect it.
    if (bodies === Number.POSITIVE_INFINITY) this.#next += outcome.requests + load.connections + 1;
    return outcome;
  }
}

/** The same bytes, with the number written over their end. */
function numbered(body: Buffer, nth: number): Buffer {
  body.write(String(nth).padStart(DIGITS, '0'), body.length - TAIL.length - DIGITS);
  return body;
}

function headOf(size: number, signature: string): string {
  return `POST /notify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n${signature}Content-Length: ${size}\r\n\r\n`;
}
