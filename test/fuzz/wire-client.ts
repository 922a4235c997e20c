// Plays one script of the wire fuzzer on a raw socket and returns every byte received. It waits for events, and for
// silence only when more bytes may or may not come. It must never hang.
import { connect } from 'node:net';
import { parseResponse, type RawResponse, values } from '../support/http/response-parser.ts';

/**
 * How it ends once everything is written: by half-closing after a silence, by waiting for the proxy to close, or by a
 * reset.
 */
export type Ending = 'half-close' | 'wait' | 'hang up';

export interface Play {
  /** The bytes, written in these pieces. */
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
  /** The number of responses that must come: silence counts only after them. */
  readonly atLeast: number;
  /** Milliseconds without a byte after which nothing more is awaited. */
  readonly silence: number;
}

export interface Outcome {
  readonly received: Buffer;
  /** True if the proxy closed by itself, or after a half-close; false if it had to be cut after the deadline. */
  readonly closed: boolean;
}

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const DEADLINE_MS = 8_000;

export function play(port: number, { pieces, ending, atLeast, silence }: Play): Promise<Outcome> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    let closed = true;
    let timer: NodeJS.Timeout | undefined;
    let written = false;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const deadline = setTimeout(() => {
      closed = false;
      socket.destroy();
    }, DEADLINE_MS);
    const awaitSilence = () => {
      clearTimeout(timer);
      if (!written || ending !== 'half-close' || socket.writableEnded) return;
      if (countAnswers(Buffer.concat(received)) < atLeast) return;
      timer = setTimeout(() => socket.end(), silence);
    };
    socket.on('data', (piece: Buffer) => {
      received.push(piece);
      awaitSilence();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(deadline);
      clearTimeout(timer);
      resolve({ received: Buffer.concat(received), closed });
    });
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        await new Promise<void>((done) => socket.write(piece, () => setImmediate(done)));
      }
      written = true;
      if (ending === 'hang up') socket.resetAndDestroy();
      else awaitSilence();
    });
  });
}

/** The number of complete responses; `readAnswers` reports anything else. */
function countAnswers(bytes: Buffer): number {
  try {
    return takeAnswers(bytes).answers.length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Every response, read by the strict parser. Throws on a byte that belongs to none, and on bytes after a closing
 * response. A client that half-closes before its response has left, and may have received a 100 Continue before.
 */
export function readAnswers(bytes: Buffer): RawResponse[] {
  const { answers, rest } = takeAnswers(bytes);
  if (rest.length > 0 && rest.toString('latin1') !== CONTINUE)
    throw new Error(`half an answer: ${JSON.stringify(rest.toString('latin1', 0, 200))}`);
  return answers;
}

function takeAnswers(bytes: Buffer): { answers: RawResponse[]; rest: Buffer } {
  const answers: RawResponse[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const last = answers.at(-1);
    if (last !== undefined && values(last.lines, 'connection').includes('close')) {
      throw new Error(`after an answer that closes: ${JSON.stringify(rest.toString('latin1', 0, 200))}`);
    }
    const parsed = parseResponse(rest);
    if (parsed === null) break;
    answers.push(parsed.response);
    rest = rest.subarray(parsed.length);
  }
  return { answers, rest };
}
