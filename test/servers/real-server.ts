// Runs a real server as a child and records what its protected handlers print. Only a handler's own output counts as a
// hit: a response must never be taken as proof that a handler was not reached.

import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { exchange } from '../support/http/raw-client.ts';
import { end, spawnTied } from '../support/machine/children.ts';
import { within } from '../support/machine/within.ts';

/**
 * The paths that a real server protects: `/notify`, `/webhooks/notify`, and `/internal`, which no route names. All else
 * is `open`: most servers do not tell of it.
 */
export type Handler = 'notify' | 'webhooks' | 'internal' | 'open';

/** A request that reached a handler that tells of it. */
export interface Hit {
  readonly handler: Handler;
  /** The value of `X-Case`, which identifies the request of the test. */
  readonly case: string;
  /** The value of `Entrupy-Signature` as the handler sees it; empty if there is none. */
  readonly signature: string;
  /** As latin1 text; from the servers of kinds.ts, its SHA-256 in hex. */
  readonly body: string;
}

export type RealServer = Awaited<ReturnType<typeof startServer>>;

export type HitLog = ReturnType<typeof createHitLog>;

/** Collects hits, and says when an expected one has arrived. */
export function createHitLog() {
  let hits: Hit[] = [];
  let marks = 0;
  let wake: () => void = () => {};
  return {
    add: (hit: Hit) => {
      hits.push(hit);
      wake();
    },
    /** Sends a request that always reaches a handler; once it has, every earlier hit has been received. */
    settle: async (port: number) => {
      const mark = `settled ${marks++}`;
      await exchange(port, `GET /notify HTTP/1.1\r\nHost: a\r\nX-Case: ${mark}\r\nConnection: close\r\n\r\n`);
      const isMark = (hit: Hit) => hit.case === mark;
      await within('a server to tell of its last hit', (done) => {
        wake = () => hits.some(isMark) && done();
        wake();
      });
      const settled = hits.filter((hit) => !isMark(hit));
      hits = [];
      return settled;
    },
  };
}

/** Starts a program of this folder, which prints its port and its hits. */
export async function startServer(command: readonly [string, ...string[]]) {
  const [program, ...args] = command;
  const child = spawnTied(program, args, {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: { PATH: process.env.PATH ?? '', PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-4000);
  });
  const log = createHitLog();
  const stop = () => end(child, 3_000);
  try {
    const port = await within<number>(`${command.join(' ')} to listen`, (done, fail) => {
      child.once('error', fail);
      child.once('exit', () => fail(new Error(`${command.join(' ')} ended: ${complaints}`)));
      createInterface(child.stdout).on('line', (text) => {
        const line = JSON.parse(text) as Hit | { listening: number };
        if ('listening' in line) done(line.listening);
        else log.add(line);
      });
    });
    /** `hits`: all since the last call, once every earlier request is accounted for. */
    return { port, hits: () => log.settle(port), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
