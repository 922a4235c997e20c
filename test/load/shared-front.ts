// Strangers and signers on one front at the same time. The strangers do what spoils a connection for whoever comes next
// on it: bodies that are refused before they are read, tails, HEAD, 204, 304. Each delivery hides requests in its body.
import { createHash } from 'node:crypto';
import { FORGED_ECHO, LATE_REQUESTS, type LateRequest } from '../servers/kinds.ts';
import { SECRET } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery, get, post, request } from '../support/http/requests.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';

const SIGNERS = 12;
const STRANGERS = 12;
const SMALLEST = 200;
const LARGEST = 120_000;
/** What is refused is read to its end up to this size; more ends the connection. */
const DROPPED = 64 * 1024;

interface Ask {
  readonly id: string;
  readonly bytes: Buffer;
  readonly head?: boolean;
}

/** Requests of one client, and the pieces in which their bytes are sent. */
interface Turn {
  readonly asks: readonly Ask[];
  readonly pieces: readonly Buffer[];
  /** `answers` are in order; after a text, which says how the connection ended, there is none. */
  readonly judge: (answers: readonly (RawResponse | string)[]) => void;
}

/** Sends about so many requests in all, but none after the deadline (on the clock of `performance`). */
export async function shareFront(port: number, { requests, deadline }: { requests: number; deadline: number }) {
  /** The id of each request that a client sent. */
  const sent = new Set<string>();
  /** What came of deliveries that did not get their own answer, and how often; also the strangers that got one. */
  const spoilt: Record<string, number> = {};
  const spoil = (how: string) => {
    spoilt[how] = (spoilt[how] ?? 0) + 1;
  };
  let own = 0;
  const client = async (turnOf: (nth: number) => Turn) => {
    let raw: RawClient | null = null;
    for (let nth = 0; sent.size < requests && performance.now() < deadline; nth++) {
      const turn = turnOf(nth);
      for (const { id } of turn.asks) sent.add(id);
      raw ??= await openClient({ port });
      const answers = await converse(raw, turn);
      turn.judge(answers);
      if (answers.some(isLast)) raw = null;
    }
    raw?.destroy();
  };
  const signer = (who: number) =>
    client((nth) => {
      const id = `delivery-${who}-${nth}`;
      const { bytes, digest } = signed(id);
      const judge: Turn['judge'] = ([answer = 'nothing']) => {
        const became = becameOf(answer, id, digest);
        if (became === 'own') own++;
        else spoil(became);
      };
      return { asks: [{ id, bytes }], pieces: [bytes], judge };
    });
  const stranger = (who: number) =>
    client((nth) => {
      const judge: Turn['judge'] = (answers) => {
        for (const answer of answers)
          if (typeof answer !== 'string' && echoOf(answer).startsWith('delivery')) spoil('to a stranger');
      };
      return { ...mischief(`stranger-${who}-${nth}`), judge };
    });
  const crowd = Array.from({ length: STRANGERS }, (_, who) => stranger(who));
  await Promise.all([...crowd, ...Array.from({ length: SIGNERS }, (_, who) => signer(who))]);
  return { sent, own, spoilt };
}

const random = (below: number) => Math.floor(Math.random() * below);
const echoOf = ({ lines }: RawResponse) => values(lines, 'x-echo')[0] ?? '';

/** Behind it the connection is over. */
const isLast = (answer: RawResponse | string) =>
  typeof answer === 'string' || values(answer.lines, 'connection').includes('close');

async function converse(raw: RawClient, { asks, pieces }: Turn): Promise<(RawResponse | string)[]> {
  const answers: (RawResponse | string)[] = [];
  const sending = sendAll(raw, pieces);
  for (const { head = false } of asks) {
    const answer = await raw.responseOrClose({ head }).then(
      (response) => response ?? 'closed without an answer',
      (error: Error) => error.message.slice(0, 80),
    );
    answers.push(answer);
    if (!isLast(answer)) continue;
    raw.destroy();
    break;
  }
  // An answer may come before all is sent: the next request must not get in between.
  await sending;
  return answers;
}

/** Now and then a moment between two pieces: a refusal comes in it. */
async function sendAll(raw: RawClient, pieces: readonly Buffer[]): Promise<void> {
  for (const [nth, piece] of pieces.entries()) {
    if (nth > 0) await new Promise((resolve) => setTimeout(resolve, random(6)));
    if (raw.socket.writable) await raw.send(piece);
  }
}

/** `own`, or what the delivery got instead of its own answer. */
function becameOf(answer: RawResponse | string, id: string, digest: string): string {
  if (typeof answer === 'string') return answer;
  const { status, body } = answer;
  const echo = echoOf(answer);
  if (echo === id && status === 200) return body.toString() === digest ? 'own' : 'its own head, another body';
  if (echo === '') return `a ${status}`;
  return echo === FORGED_ECHO ? 'forged' : `of a ${echo.split('-')[0]}, ${status}`;
}

/** Requests among empty lines, so that whoever begins to read anywhere in it reads a request. */
function hiding(id: string, bytes: number): string {
  const hidden = get('/open/hidden', [`X-Case: smuggled-in-${id}`]) + '\r\n'.repeat(300);
  return hidden.repeat(Math.ceil(bytes / hidden.length)).slice(0, bytes);
}

function signed(id: string): { bytes: Buffer; digest: string } {
  const size = SMALLEST + random(Math.random() < 0.4 ? 3000 : LARGEST - SMALLEST);
  const body = Math.random() < 0.5 ? hiding(id, size) : id.padEnd(size, id);
  const bytes = Buffer.from(delivery(body, SECRET, { lines: [`X-Case: ${id}`] }));
  return { bytes, digest: createHash('sha256').update(body).digest('hex') };
}

const unsigned = (id: string, size: number, target: string) =>
  Buffer.from(post(hiding(id, size), { target, lines: [`X-Case: ${id}`] }));

function mischief(id: string): Pick<Turn, 'asks' | 'pieces'> {
  const kind = Math.random();
  if (kind < 0.5) {
    const isLate = kind < 0.4;
    const ask = isLate ? lateOf(id) : { id, bytes: unsigned(id, random(20_000), '/open/plain') };
    return { asks: [ask], pieces: [ask.bytes] };
  }
  const size = Math.random() < 0.9 ? random(DROPPED) : DROPPED + random(DROPPED);
  const first: Ask = { id, bytes: unsigned(id, size, '/notify') };
  const asks = [first, ...(Math.random() < 0.3 ? [lateOf(`${id}-tail`, 'HEAD')] : [])];
  const all = Buffer.concat(asks.map(({ bytes }) => bytes));
  const at = Math.random() < 0.5 ? first.bytes.length - 1 - random(200) : random(first.bytes.length);
  const cut = Math.max(1, at);
  return { asks, pieces: Math.random() < 0.2 ? [all] : [all.subarray(0, cut), all.subarray(cut)] };
}

function lateOf(id: string, kind: LateRequest = (['HEAD', '204', '304'] as const)[random(3)] ?? 'HEAD'): Ask {
  const { method, target } = LATE_REQUESTS[kind];
  const bytes = Buffer.from(request([`${method} ${target} HTTP/1.1`, 'Host: h', `X-Case: ${id}`]));
  return { id, bytes, head: method === 'HEAD' };
}
