// Strangers and signers on one front at the same time. The strangers do what spoils a connection for whoever comes next
// on it: bodies that are refused before they are read, tails, HEAD, 204, 304. Each delivery hides requests in its body.
import { createHash } from 'node:crypto';
import { FORGED_ECHO, LATE_REQUESTS, type LateRequest } from '../servers/late-kinds.ts';
import { SECRET } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery, get, post, request } from '../support/http/requests.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';

const KIB = 1024;
const SIGNERS = 12;
const STRANGERS = 12;
/** After this long without an answer a delivery counts as swallowed. */
const PATIENCE_MS = 5_000;
const SMALLEST = 200;
const LARGEST = 120_000;
/** What is refused is read to its end up to this size; more ends the connection. */
const DROPPED = 64 * KIB;

export interface Outcome {
  readonly requests: number;
  readonly deliveries: number;
  /** Deliveries with their own answer. */
  own: number;
  /** Those without any answer in time: swallowed. */
  swallowed: number;
  /** Those with someone else's answer, a forged one, or a refusal that was meant for another. */
  foreign: number;
  /** Those with 400. */
  bad: number;
  /** Those whose connection ended, or to which the front said 502, 503 or 504. */
  cut: number;
  /** Strangers that got the answer to a delivery. */
  leaked: number;
  /** What came of deliveries, by text, but for their own answers. */
  readonly texts: Map<string, number>;
  /** The id of each request that a client sent. */
  readonly sent: Set<string>;
}

interface Ask {
  readonly id: string;
  readonly bytes: Buffer;
  readonly head?: boolean;
}

/** Sends about so many requests in all, but none after the deadline (on the clock of `performance`). */
export async function shareFront(
  port: number,
  { requests, deadline }: { requests: number; deadline: number },
): Promise<Outcome> {
  const sent = new Set<string>();
  const counts = { own: 0, swallowed: 0, foreign: 0, bad: 0, cut: 0, leaked: 0 };
  const texts = new Map<string, number>();
  const progress = { requests: 0, deliveries: 0 };
  const more = () => progress.requests < requests && performance.now() < deadline;
  const signer = async (who: number) => {
    const client = new Kept(port);
    for (let nth = 0; more(); nth++) {
      const { ask, digest } = signed(`delivery-${who}-${nth}`);
      progress.requests++;
      progress.deliveries++;
      sent.add(ask.id);
      const [answer = 'closed'] = await client.ask([ask.bytes], [ask]);
      const [became, text] = judge(answer, ask.id, digest);
      counts[became]++;
      if (became !== 'own') texts.set(text, (texts.get(text) ?? 0) + 1);
    }
    client.leave();
  };
  const stranger = async (who: number) => {
    const client = new Kept(port);
    for (let nth = 0; more(); nth++) {
      const { asks, pieces } = mischief(`stranger-${who}-${nth}`);
      progress.requests += asks.length;
      for (const { id } of asks) sent.add(id);
      for (const answer of await client.ask(pieces, asks)) {
        if (typeof answer !== 'string' && echoOf(answer).startsWith('delivery')) counts.leaked++;
      }
    }
    client.leave();
  };
  const crowd = Array.from({ length: STRANGERS }, (_, who) => stranger(who));
  await Promise.all([...crowd, ...Array.from({ length: SIGNERS }, (_, who) => signer(who))]);
  return { ...progress, ...counts, texts, sent };
}

const random = (below: number) => Math.floor(Math.random() * below);
const echoOf = ({ lines }: RawResponse) => values(lines, 'x-echo')[0] ?? '';

type Became = 'own' | 'swallowed' | 'foreign' | 'bad' | 'cut';

function judge(answer: RawResponse | string, id: string, digest: string): [Became, string] {
  if (answer === 'silence') return ['swallowed', 'no answer in time'];
  if (typeof answer === 'string') return ['cut', answer];
  const { status } = answer;
  const echo = echoOf(answer);
  if (echo === id && status === 200) {
    return answer.body.toString() === digest ? ['own', ''] : ['foreign', 'its own head, another body'];
  }
  if (echo !== '') return ['foreign', echo === FORGED_ECHO ? 'forged' : `of a ${echo.split('-')[0]}, ${status}`];
  if (status === 400) return ['bad', '400'];
  return [502, 503, 504].includes(status) ? ['cut', String(status)] : ['foreign', `a ${status}`];
}

/** Requests among empty lines, so that whoever begins to read anywhere in it reads a request. */
function hiding(id: string, bytes: number): string {
  const hidden = get('/open/hidden', [`X-Case: smuggled-in-${id}`]) + '\r\n'.repeat(300);
  return hidden.repeat(Math.ceil(bytes / hidden.length)).slice(0, bytes);
}

function signed(id: string): { ask: Ask; digest: string } {
  const size = Math.random() < 0.4 ? SMALLEST + random(3000) : SMALLEST + random(LARGEST - SMALLEST);
  const body = Math.random() < 0.5 ? hiding(id, size) : id.padEnd(size, id);
  const bytes = Buffer.from(delivery(body, SECRET, { lines: [`X-Case: ${id}`] }));
  return { ask: { id, bytes }, digest: createHash('sha256').update(body).digest('hex') };
}

const unsigned = (id: string, size: number, target: string) =>
  Buffer.from(post(hiding(id, size), { target, lines: [`X-Case: ${id}`] }));

/** A stranger's requests, and the pieces in which their bytes are sent. */
function mischief(id: string): { asks: Ask[]; pieces: Buffer[] } {
  const kind = Math.random();
  if (kind < 0.4) {
    const ask = late((['HEAD', '204', '304'] as const)[random(3)] ?? 'HEAD', id);
    return { asks: [ask], pieces: [ask.bytes] };
  }
  if (kind < 0.5) {
    const bytes = unsigned(id, random(20_000), '/open/plain');
    return { asks: [{ id, bytes }], pieces: [bytes] };
  }
  const size = Math.random() < 0.9 ? random(DROPPED) : DROPPED + random(DROPPED);
  const first: Ask = { id, bytes: unsigned(id, size, '/notify') };
  const tail = Math.random() < 0.3 ? [late('HEAD', `${id}-tail`)] : [];
  const asks = [first, ...tail];
  const all = Buffer.concat(asks.map(({ bytes }) => bytes));
  const at = Math.random() < 0.5 ? first.bytes.length - 1 - random(200) : random(first.bytes.length);
  return {
    asks,
    pieces: Math.random() < 0.2 ? [all] : [all.subarray(0, Math.max(1, at)), all.subarray(Math.max(1, at))],
  };
}

function late(kind: LateRequest, id: string): Ask {
  const { method, target } = LATE_REQUESTS[kind];
  const bytes = Buffer.from(request([`${method} ${target} HTTP/1.1`, 'Host: h', `X-Case: ${id}`]));
  return { id, bytes, head: method === 'HEAD' };
}

/** A client that keeps its connection while it may. */
class Kept {
  readonly #port: number;
  #raw: RawClient | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** The answers in order; after a text (`silence`, or how the connection ended) there is none. */
  async ask(pieces: readonly Buffer[], asks: readonly Ask[]): Promise<(RawResponse | string)[]> {
    const answers: (RawResponse | string)[] = [];
    try {
      this.#raw ??= await openClient({ port: this.#port });
      const raw = this.#raw;
      const sending = sendAll(raw, pieces);
      for (const { head = false } of asks) {
        const answer = await inTime(raw, head);
        answers.push(answer);
        if (typeof answer !== 'string' && !values(answer.lines, 'connection').includes('close')) continue;
        this.leave();
        break;
      }
      // An answer may come before all is sent: the next request must not get in between.
      await sending;
    } catch (error) {
      this.leave();
      answers.push(String(error).slice(0, 80));
    }
    return answers;
  }

  leave(): void {
    this.#raw?.destroy();
    this.#raw = null;
  }
}

/** Now and then a moment between two pieces: a refusal comes in it. */
async function sendAll(raw: RawClient, pieces: readonly Buffer[]): Promise<void> {
  try {
    for (const [nth, piece] of pieces.entries()) {
      if (nth > 0) await new Promise((resolve) => setTimeout(resolve, random(6)));
      if (raw.socket.writable) await raw.send(piece);
    }
  } catch {
    // The answer says what became of it.
  }
}

async function inTime(raw: RawClient, head: boolean): Promise<RawResponse | string> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, 'silence');
  });
  const answer = raw.responseOrClose({ head }).then((response) => response ?? 'closed without an answer');
  answer.catch(() => {});
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}
