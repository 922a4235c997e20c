// Plays one script of the wire fuzzer on a raw socket and returns the answers. It waits for events, and for silence only
// when more bytes may or may not come.
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openClient } from '../support/http/raw-client.ts';
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

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** Every answer up to the end of the connection; none to a client that hangs up. */
export async function play(port: number, { pieces, ending, atLeast, silence }: Play): Promise<RawResponse[]> {
  const client = await openClient({ port });
  const { socket } = client;
  const answers: RawResponse[] = [];
  try {
    for (const piece of pieces) {
      if (socket.destroyed) break;
      await client.send(piece);
      await nextTurn();
    }
    if (ending === 'hang up') {
      socket.resetAndDestroy();
      return [];
    }
    while (answers.length < atLeast && !isOver(answers)) {
      const answer = await client.responseOrClose();
      if (answer === null) break;
      answers.push(answer);
    }
    if (ending === 'half-close') {
      await untilSilent(socket, silence);
      client.end();
    }
    return readAnswers(await client.rest(), answers);
  } finally {
    client.destroy();
  }
}

/** Resolves after so many milliseconds without a byte, or at the end. */
function untilSilent(socket: Socket, silence: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, silence);
    socket.on('data', () => timer.refresh()).once('close', resolve);
  });
}

const isOver = (answers: readonly RawResponse[]) => values(answers.at(-1)?.lines ?? [], 'connection').includes('close');

/**
 * Those before, and the rest, read by the strict parser. Throws on a byte that belongs to none, and on bytes after a
 * closing response. A client that half-closes before its response has left, and may have received a 100 Continue before.
 */
function readAnswers(rest: Buffer, before: readonly RawResponse[]): RawResponse[] {
  const answers = [...before];
  for (let at = 0; at < rest.length; ) {
    const text = rest.toString('latin1', at);
    const parsed = isOver(answers) ? null : parseResponse(rest.subarray(at));
    if (parsed === null && !isOver(answers) && text === CONTINUE) break;
    if (parsed === null) throw new Error(`no answer, after ${answers.length}: ${JSON.stringify(text.slice(0, 200))}`);
    answers.push(parsed.response);
    at += parsed.length;
  }
  return answers;
}
