// Each byte that a client sends belongs to exactly one message. Of the messages on a connection the first few, in order,
// get exactly their answers; of the others nothing reaches anyone, and the connection ends.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SECRET } from '../conformance/wire-case.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, type SeenRequest, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { checkCounted, checkEnd, checkReached, idOf } from './pipeline-checks.ts';
import { CONFIG, written } from './pipeline-messages.ts';
import { type Pipeline, piecesOf, pipeline } from './pipelines.ts';
import { type Conversation, converse, Hold } from './pipelining-client.ts';
import { fuzz, SEED, TEST_TIMEOUT } from './time-box.ts';
import { countedByStatus, settled } from './wire-checks.ts';

/** The last messages of each connection. Where one before them was lost, they get an answer that is not theirs. */
const PROBES = 3;
const PROBE = { kind: 'no route', size: 0, filling: 'letters', chunk: 0, held: false } as const;

let upstream: LenientUpstream;
let proxy: RunningProxy;
let counted: Map<string, number>;
/** What an answer waits for, by the id of its message. */
const holds = new Map<string, Hold>();
beforeAll(async () => {
  upstream = await startLenientUpstream();
  upstream.answer(echo);
  proxy = await startProxy({ config: { ...CONFIG, upstream: { url: upstream.url } }, secrets: { current: SECRET } });
  counted = await proxy.metrics();
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

function echo(request: SeenRequest) {
  const id = idOf(request);
  const head = `HTTP/1.1 200 OK\r\nX-Id: ${id}\r\nContent-Length: ${id.length}\r\n\r\n`;
  return (socket: { write(text: string): unknown }) => {
    const answer = () => socket.write(request.method === 'HEAD' ? head : head + id);
    const hold = holds.get(id);
    if (hold === undefined) answer();
    else hold.pass(answer);
  };
}

function playOf({ messages, cuts }: Pipeline) {
  const sent = messages.map(written);
  const hold = new Hold();
  for (const { id, held } of sent) if (held) holds.set(id, hold);
  const pieces = piecesOf(sent, cuts);
  const probes = Array.from({ length: PROBES }, () => written(PROBE));
  return { port: proxy.port, sent: [...sent, ...probes], probes: PROBES, pieces, hold, roundTrip: proxy.metrics };
}

async function check(pipelines: readonly Pipeline[]): Promise<void> {
  const plays = pipelines.map(playOf);
  const ended = await Promise.allSettled(plays.map(converse));
  const before = counted;
  counted = await settled(proxy);
  const seen = upstream.seen.splice(0);
  holds.clear();
  const conversations: Conversation[] = [];
  for (const outcome of ended) {
    if (outcome.status === 'rejected') throw outcome.reason;
    conversations.push(outcome.value);
  }
  const answered = plays.map(({ sent }, index) => checkEnd(sent, conversations[index] as Conversation));
  checkReached(seen, answered);
  checkCounted(countedByStatus(before, counted), conversations);
}

function show({ messages, cuts }: Pipeline): string {
  const sent = messages.map(written);
  const pieces = piecesOf(sent, cuts).map(({ bytes, pause }) => `${bytes.length} bytes, then ${pause}`);
  return `${sent.map(({ name, bytes }) => `${name} (${bytes.length})`).join(', ')}\n  in ${pieces.join('; ')}`;
}

test('whatever follows whatever, however it is cut', { timeout: TEST_TIMEOUT }, async () => {
  const tried = { connections: 0, messages: 0, bytes: 0 };
  await fuzz(fc.array(pipeline, { minLength: 1, maxLength: 4 }), async (pipelines) => {
    tried.connections += pipelines.length;
    for (const { messages } of pipelines) {
      tried.messages += messages.length;
      for (const { size } of messages) tried.bytes += size;
    }
    await check(pipelines).catch((error: Error) => {
      error.message += `\nsent, one connection a line:\n${pipelines.map(show).join('\n')}`;
      throw error;
    });
  });
  console.log(`${JSON.stringify(tried)}, seed ${SEED}`);
});

test('nothing is left half-sent upstream, and the proxy logged nothing odd', async () => {
  expect(upstream.leftovers()).toEqual([]);
  expect(proxy.logs().filter(({ level }) => level === 'error')).toEqual([]);
  expect((await proxy.stop()).code).toBe(0);
});
