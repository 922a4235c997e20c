// Plays one script of the wire fuzzer on a raw socket and returns every response. It waits for events, and for silence only
// when more bytes may or may not come.
import type { Socket } from 'node:net';
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

/** Rejects if the proxy does not close, by itself or after a half-close, and on bytes that belong to no response. */
export async function play(port: number, { pieces, ending, atLeast, silence }: Play): Promise<RawResponse[]> {
  const client = await openClient({ port });
  try {
    for (const piece of pieces) {
      await client.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (ending === 'hang up') {
      client.socket.resetAndDestroy();
      return [];
    }
    const answers: RawResponse[] = [];
    if (ending === 'half-close') {
      while (answers.length < atLeast && !closes(answers)) {
        const answer = await client.responseOrClose();
        if (answer === null) break;
        answers.push(answer);
      }
      await silent(client.socket, silence);
      client.end();
    }
    return readAnswers(await client.rest(), answers);
  } finally {
    client.destroy();
  }
}

const closes = (answers: readonly RawResponse[]) => values(answers.at(-1)?.lines ?? [], 'connection').includes('close');

/** Resolves once no byte has come for so long, or the peer has closed. */
function silent(socket: Socket, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    socket.on('data', () => timer.refresh()).once('close', resolve);
    if (socket.destroyed) resolve();
  });
}

/**
 * These answers and the others. Throws on a byte that belongs to none, and on bytes after a closing response. A client
 * that half-closes before its response has left, and may have received a 100 Continue before.
 */
function readAnswers(bytes: Buffer, before: readonly RawResponse[]): RawResponse[] {
  const answers = [...before];
  for (let rest = bytes; rest.length > 0; ) {
    const text = JSON.stringify(rest.toString('latin1', 0, 200));
    if (closes(answers)) throw new Error(`after an answer that closes: ${text}`);
    const parsed = parseResponse(rest);
    if (parsed === null && rest.toString('latin1') === CONTINUE) break;
    if (parsed === null) throw new Error(`half an answer: ${text}`);
    answers.push(parsed.response);
    rest = rest.subarray(parsed.length);
  }
  return answers;
}
