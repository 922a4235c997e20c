// Plays one script of the wire fuzzer on a bare socket and gives back every byte that came. It waits for events, and for
// silence only where nobody can know whether more is to come. It must never hang.
import { connect } from 'node:net';
import { parseResponse, type RawResponse, values } from '../support/response-parser.ts';

/** How it ends once all is written: by half-closing after a silence, by waiting for the proxy to close, or by a reset. */
export type Ending = 'half-close' | 'wait' | 'hang up';

export interface Play {
  /** What is written, in these pieces. */
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
  /** Answers that must come: no silence counts before they have. */
  readonly atLeast: number;
  /** Milliseconds without a byte after which nothing more is awaited. */
  readonly silence: number;
}

export interface Outcome {
  readonly received: Buffer;
  /** True where the proxy closed by itself, or after a half-close; false where it had to be cut after the deadline. */
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

/** How many whole answers are there; what is no answer is for `readAnswers` to complain of. */
function countAnswers(bytes: Buffer): number {
  try {
    return takeAnswers(bytes).answers.length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Every answer, by the strict parser. Throws on a byte that is part of none, and on bytes after a closing answer. Who
 * half-closes before an answer has left, and may have been told to go on before.
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
