// The load: wrk, one thread, one POST the same each time. Bodies are made here and signed by the tests' own signer.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sign } from '../../test/support/signer.ts';
import type { Post } from './launch.ts';

const SCRIPT = fileURLToPath(new URL('../peers/post.lua', import.meta.url));
const run = promisify(execFile);

export interface Load {
  /** Bytes of a body. */
  readonly size: number;
  readonly connections: number;
  /** Without one every request is to be refused. */
  readonly signed: boolean;
  /** Requests a second; null for as many as it takes. */
  readonly rate: number | null;
}

/** What wrk counted. Times in microseconds. */
export interface Outcome {
  readonly requests: number;
  readonly micros: number;
  readonly p50: number;
  readonly p99: number;
  /** Answers above 399. */
  readonly notOk: number;
  /** Connections that failed, and requests without an answer in time. */
  readonly broken: number;
}

/** Secrets of a run and the bodies that they sign. The last secret signs, so that none before it may end the search. */
export class Traffic {
  readonly secrets = Array.from({ length: 5 }, () => randomBytes(33).toString('base64'));
  readonly #directory: string;

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

  signature(size: number, secret: string): string {
    return sign(secret, this.body(size));
  }

  /** One request by hand: as it should be, with one byte changed, or without a signature. */
  post(size: number, secret: string, kind: 'signed' | 'tampered' | 'unsigned'): Post {
    const body = this.body(size);
    const signature = kind === 'unsigned' ? '' : `Entrupy-Signature: ${sign(secret, body)}\r\n`;
    if (kind === 'tampered') body[size - 3] = 0x21;
    return {
      head: `POST /notify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n${signature}Content-Length: ${size}\r\n\r\n`,
      body,
    };
  }

  async wrk(load: Load, to: { port: number; secret: string; seconds: number }): Promise<Outcome> {
    const file = join(this.#directory, `body-${load.size}`);
    writeFileSync(file, this.body(load.size));
    const signature = load.signed ? this.signature(load.size, to.secret) : '-';
    const pause = load.rate === null ? 0 : Math.round((1000 * load.connections) / load.rate);
    const { stdout } = await run('wrk', [
      ...['--threads', '1', '--connections', String(load.connections), '--duration', `${to.seconds}s`],
      ...['--timeout', '10s', '--latency', '--script', SCRIPT, `http://127.0.0.1:${to.port}/notify`],
      ...['--', file, signature, String(pause)],
    ]);
    const line = /^\{.*\}$/m.exec(stdout);
    if (line === null) throw new Error(`wrk said:\n${stdout}`);
    return JSON.parse(line[0]) as Outcome;
  }
}
