// Plays a pipeline on a raw socket. It waits for events alone, each bounded by the raw client's deadline.
import { expect } from 'vitest';
import { type ConnectOptions, openClient, type RawClient } from '../support/http/raw-client.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';
import type { Sent } from './pipeline-messages.ts';
import type { Piece } from './pipelines.ts';
import { checkAnswer } from './wire-checks.ts';

/** What a client saw of a connection. */
export interface Conversation {
  readonly answers: readonly RawResponse[];
  /** `open`: all was answered, and the proxy ends nothing. */
  readonly end: 'open' | 'orderly' | 'reset';
}

/** Lets the upstream's answers wait for their client. */
export class Hold {
  #open = false;
  readonly #waiting: (() => void)[] = [];

  pass(answer: () => void): void {
    if (this.#open) answer();
    else this.#waiting.push(answer);
  }

  /** Lets those go that wait now. */
  release(): void {
    for (const answer of this.#waiting.splice(0)) answer();
  }

  /** Lets all go from now on. */
  open(): void {
    this.#open = true;
    this.release();
  }

  /** Lets all go until then. */
  async opened(until: Promise<void> | undefined): Promise<void> {
    this.open();
    await until;
    this.#open = false;
  }
}

export interface Play {
  readonly to: ConnectOptions;
  /** The pieces hold all but the last few, which are the probes. */
  readonly sent: readonly Sent[];
  readonly pieces: readonly Piece[];
  readonly probes: number;
  /** False: nothing is sent behind a message before its answer has come. */
  readonly pipelined: boolean;
  readonly hold: Hold;
  /** Resolves when the proxy has answered someone else: meanwhile it could begin what it has. */
  readonly roundTrip: () => Promise<unknown>;
}

export async function converse(play: Play): Promise<Conversation> {
  const client = await openClient(play.to);
  let reset = false;
  client.socket.once('error', () => {
    reset = true;
  });
  const settled = play.sent.map(() => Promise.withResolvers<void>());
  const answers: RawResponse[] = [];
  const read = readAnswers(client, play.sent, (answer) => {
    settled[answers.length]?.resolve();
    answers.push(answer);
  }).finally(() => {
    for (const { resolve } of settled) resolve();
  });
  const answered = (message: number) => settled[message]?.promise;
  try {
    const [end] = await Promise.all([read, write(client, play, answered)]);
    return { answers, end: reset ? 'reset' : end };
  } finally {
    play.hold.open();
    client.destroy();
  }
}

type Answered = (message: number) => Promise<void> | undefined;

async function write(client: RawClient, { sent, pieces, probes, hold, roundTrip }: Play, answered: Answered) {
  let taken = Promise.resolve();
  for (const { bytes, pause, answerable } of pieces) {
    if (client.socket.readableEnded) return;
    taken = client.send(bytes);
    if (pause === 'a turn') await new Promise((resolve) => setImmediate(resolve));
    else if (pause === 'the kernel') await taken;
    else if (pause === 'the answers') await hold.opened(answered(answerable - 1));
    if (pause !== 'nothing') hold.release();
  }
  hold.open();
  await taken;
  for (let index = sent.length - probes; index < sent.length; index++) {
    await Promise.race([answered(index - 1), roundTrip().then(roundTrip)]);
    if (client.socket.readableEnded) return;
    await client.send(sent[index]?.bytes ?? '');
  }
}

/** Reads until everything is answered or the connection ends. Nothing may follow an answer that says `close`. */
async function readAnswers(
  client: RawClient,
  sent: readonly Sent[],
  onAnswer: (answer: RawResponse) => void,
): Promise<'open' | 'orderly'> {
  for (const [index, message] of sent.entries()) {
    const answer = await client.responseOrClose({ head: message.method === 'HEAD' });
    if (answer === null) return 'orderly';
    checkOwn(answer, message, index);
    onAnswer(answer);
    if (!values(answer.lines, 'connection').includes('close')) continue;
    const rest = await client.rest();
    if (rest.length > 0) throw new Error(`after an answer that closes: ${JSON.stringify(rest.toString('latin1'))}`);
    return 'orderly';
  }
  return 'open';
}

/** An answer is checked as it comes: what follows one that is not its message's own can't be told apart. */
function checkOwn(answer: RawResponse, { name, id, status, method }: Sent, index: number): void {
  const what = `the answer to message ${index}, ${name}`;
  expect(answer.status, what).toBe(status);
  expect(answer.informational, what).toEqual([]);
  if (status === 200) expect(echoed(answer, method), what).toBe(id);
  else checkAnswer(answer);
}

/** The id in the head and, where there is one, in the body. */
function echoed({ lines, body }: RawResponse, method: string): string {
  const [id = ''] = values(lines, 'x-id');
  const text = body.toString('latin1');
  return method === 'HEAD' || text === id ? id : `${id} with the body ${text}`;
}
