// What must hold of a pipeline once its connection is over.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { type RawResponse, values } from '../support/http/response-parser.ts';
import type { SeenRequest } from '../support/upstream/lenient-upstream.ts';
import { MAX_HEADER, type Sent } from './pipeline-messages.ts';
import type { Conversation, Play } from './pipelining-client.ts';
import { checkAnswer } from './wire-checks.ts';

export const idOf = ({ target }: SeenRequest | Sent): string => target.replace(/^[^?]*\?/, '');

/** An answer is checked as it comes: what follows one that is not its message's own can't be told apart. */
export function checkOwn(answer: RawResponse, { name, id, status, method }: Sent, index: number): void {
  const what = `the answer to message ${index}, ${name}`;
  expect(answer.status, what).toBe(status);
  expect(answer.informational, what).toEqual([]);
  if (status === 200) expect(echoed(answer, method), what).toBe(id);
  else checkAnswer(answer);
}

/**
 * A connection ends only where it may: too much behind a message ends it only if that came before the answer. Returns
 * the messages that were answered.
 */
export function checkEnd({ sent, pipelined }: Play, { answers, end }: Conversation): readonly Sent[] {
  const closing = sent.findIndex(({ ends }) => ends === 'always');
  if (closing >= 0) expect(answers.length, 'answers').toBeLessThanOrEqual(closing + 1);
  const [answered, unanswered] = [sent.slice(0, answers.length), sent.slice(answers.length)];
  if (unanswered.length === 0) return answered;
  expect(end, 'the end of a connection that answers less than it was sent').toBe('orderly');
  const last = answered.at(-1);
  const behind = unanswered.reduce((bytes, message) => bytes + message.bytes.length, 0);
  const mayEnd = last !== undefined && (last.ends !== 'never' || (pipelined && behind > MAX_HEADER));
  expect(mayEnd, `an end behind ${last?.name ?? 'nothing'}, with ${behind} bytes to come`).toBe(true);
  return answered;
}

/** The id in the head and, where there is one, in the body. */
function echoed({ lines, body }: RawResponse, method: string): string {
  const [id = ''] = values(lines, 'x-id');
  const text = body.toString('latin1');
  return method === 'HEAD' || text === id ? id : `${id} with the body ${text}`;
}

/** Of each connection exactly the answered messages have reached the upstream, once, in order and byte for byte. */
export function checkReached(seen: readonly SeenRequest[], answered: readonly (readonly Sent[])[]): void {
  const known = new Set<SeenRequest>();
  for (const messages of answered) {
    const forwarded = messages.filter(({ status }) => status === 200);
    const ids = new Set(forwarded.map(idOf));
    const reached = seen.filter((request) => ids.has(idOf(request)));
    for (const request of reached) known.add(request);
    expect(reached.map(summary)).toEqual(forwarded.map(summary));
  }
  const strangers = seen.filter((request) => !known.has(request));
  expect(strangers.map(summary), 'requests upstream that got no answer').toEqual([]);
}

function summary({ method, target, body }: SeenRequest | Sent): string {
  return `${method} ${target} ${body.length} bytes ${createHash('sha256').update(body).digest('hex').slice(0, 8)}`;
}

/** Each answer is counted once. Of what got none, at most one request a connection is counted, as left by its client. */
export function checkCounted(counted: ReadonlyMap<number, number>, conversations: readonly Conversation[]): void {
  const answers = new Map<number, number>();
  for (const { status } of conversations.flatMap((conversation) => conversation.answers))
    answers.set(status, (answers.get(status) ?? 0) + 1);
  const { 499: left = 0, ...rest } = Object.fromEntries([...counted].filter(([, count]) => count > 0));
  expect(rest, 'requests counted, by status').toEqual(Object.fromEntries(answers));
  expect(left, 'clients counted as gone').toBeLessThanOrEqual(conversations.length);
}
