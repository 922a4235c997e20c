// Each byte that a client sends belongs to exactly one message. Of the messages on a connection the first few, in order,
// get exactly their answers; of the others nothing reaches anyone, and the connection ends.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { ownDirectory } from '../support/machine/files.ts';
import { shared } from '../support/proxy/shared.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';
import { type SeenRequest, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { CONFIG, MAX_HEADER, type Message, type Sent, written } from './pipeline-messages.ts';
import { type Pipeline, piecesOf, pipeline } from './pipelines.ts';
import { type Conversation, converse, Hold, type Play } from './pipelining-client.ts';
import { fuzz, SEED } from './time-box.ts';
import { countedByStatus, settled } from './wire-checks.ts';

/** The last messages of each connection. Where one before them was lost, they get an answer that is not theirs. */
const PROBES = 3;
const PROBE = { kind: 'no route', size: 0, filling: 'letters', chunk: 0, held: false } as const;

const identity = loopbackIdentity(ownDirectory());
const [cert = '', key = ''] = [identity.pair.certFile, identity.pair.keyFile].map((file) => readFileSync(file, 'utf8'));
/** TLS on both sides, or on neither. */
const on = {
  TCP: shared(startLenientUpstream, CONFIG),
  TLS: shared(() => startLenientUpstream({ identity: { cert, key } }), {
    ...CONFIG,
    listen: { tls: identity.pair },
    upstream: { tls: { caFile: identity.caFile } },
  }),
};
/** The metrics of each proxy after the last pipelines. */
const counted = new Map<string, Map<string, number>>();
/** What an answer waits for, by the id of its message. */
const holds = new Map<string, Hold>();
beforeAll(async () => {
  for (const [over, { proxy, upstream }] of Object.entries(on)) {
    upstream.answer(echo);
    counted.set(over, await proxy.metrics());
  }
});

const idOf = ({ target }: SeenRequest | Sent): string => target.replace(/^[^?]*\?/, '');

function echo(request: SeenRequest) {
  const id = idOf(request);
  const head = `HTTP/1.1 200 OK\r\nX-Id: ${id}\r\nContent-Length: ${id.length}\r\n\r\n`;
  return (socket: Socket) => {
    const answer = () => socket.write(request.method === 'HEAD' ? head : head + id);
    const hold = holds.get(id);
    if (hold === undefined) answer();
    else hold.pass(answer);
  };
}

function playOf({ messages, cuts, over }: Pipeline): Play {
  const sent = messages.map(written);
  const hold = new Hold();
  for (const message of sent) if (message.held) holds.set(message.id, hold);
  const pieces = piecesOf(sent, cuts);
  const probes = Array.from({ length: PROBES }, () => written(PROBE));
  const { port, metrics } = on[over].proxy;
  const to = over === 'TLS' ? { port, ca: identity.ca } : { port };
  const pipelined = cuts !== 'between messages';
  return { to, sent: [...sent, ...probes], probes: PROBES, pipelined, pieces, hold, roundTrip: metrics };
}

async function check(pipelines: readonly Pipeline[]): Promise<void> {
  const plays = pipelines.map(playOf);
  const ended = await Promise.allSettled(plays.map(converse));
  const counts = new Map<string, Map<number, number>>();
  for (const [over, { proxy }] of Object.entries(on)) {
    const now = await settled(proxy);
    counts.set(over, countedByStatus(counted.get(over) ?? new Map(), now));
    counted.set(over, now);
  }
  const seen = Object.values(on).flatMap(({ upstream }) => upstream.seen.splice(0));
  holds.clear();
  const conversations: Conversation[] = [];
  for (const outcome of ended) {
    if (outcome.status === 'rejected') throw outcome.reason;
    conversations.push(outcome.value);
  }
  const answered = plays.map((play, index) => checkEnd(play, conversations[index] as Conversation));
  checkReached(seen, answered);
  for (const [over, count] of counts)
    checkCounted(
      count,
      conversations.filter((_, index) => pipelines[index]?.over === over),
    );
}

/**
 * A connection ends only where it may: too much behind a message ends it only if that came before the answer. Returns
 * the messages that were answered.
 */
function checkEnd({ sent, pipelined }: Play, { answers, end }: Conversation): readonly Sent[] {
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

/** Of each connection exactly the answered messages have reached the upstream, once, in order and byte for byte. */
function checkReached(seen: readonly SeenRequest[], answered: readonly (readonly Sent[])[]): void {
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
function checkCounted(counted: ReadonlyMap<number, number>, conversations: readonly Conversation[]): void {
  const answers = new Map<number, number>();
  for (const { status } of conversations.flatMap((conversation) => conversation.answers))
    answers.set(status, (answers.get(status) ?? 0) + 1);
  const { 499: left = 0, ...rest } = Object.fromEntries([...counted].filter(([, count]) => count > 0));
  expect(rest, 'requests counted, by status').toEqual(Object.fromEntries(answers));
  expect(left, 'clients counted as gone').toBeLessThanOrEqual(conversations.length);
}

function show({ messages, cuts, over }: Pipeline): string {
  const sent = messages.map(written);
  const pieces = piecesOf(sent, cuts).map(({ bytes, pause }) => `${bytes.length} bytes, then ${pause}`);
  return `over ${over}: ${sent.map(({ name, bytes }) => `${name} (${bytes.length})`).join(', ')}\n  in ${pieces.join('; ')}`;
}

async function checkShown(pipelines: readonly Pipeline[]): Promise<void> {
  await check(pipelines).catch((error: Error) => {
    error.message += `\nsent, one connection a line:\n${pipelines.map(show).join('\n')}`;
    throw error;
  });
}

const messageOf = (kind: Message['kind'], size: number, filling: Message['filling'] = 'letters') =>
  ({ kind, size, filling, chunk: 0, held: false }) as const;

// A proxy that drops the rest of a body and reads on swallows the next delivery, or takes a piece of it for a request.
test.each([1, 63].flatMap((refused) => [0.2, 33, 100].map((size) => ({ refused, size }))))(
  'the last bytes of a refused body of $refused KiB come in one read with a delivery of $size KB',
  async ({ refused, size }) => {
    for (const over of ['TCP', 'TLS'] as const) {
      const pipelines = Array.from({ length: 3 }, (_, nth) => {
        const delivery = messageOf('a delivery', size * 1000 + nth, nth % 2 === 0 ? 'letters' : 'requests');
        const cuts = [{ message: 1, offset: -1 - 2 * nth, singles: 0, pause: 'the answers' as const }];
        return { messages: [messageOf('no signature', refused * 1024), delivery], cuts, over };
      });
      await checkShown(pipelines);
    }
  },
);

test.each(['a delivery', 'no signature', 'an open GET'] as const)(
  '%s, and in one write behind it most of a delivery, whose rest comes just when the first is answered',
  async (kind) => {
    const pipelines = Array.from({ length: 8 }, (_, nth) => {
      const first = { ...messageOf(kind, kind === 'an open GET' ? 0 : 200), held: true };
      const second = messageOf('a delivery', 18_000 + 6000 * nth, 'requests');
      const pause = nth % 2 === 0 ? 'a turn' : 'the kernel';
      const cuts = nth < 4 ? [] : [{ message: 1, offset: 10_000, singles: 0, pause } as const];
      return { messages: [first, second, messageOf('a delivery', 300)], cuts, over: 'TCP' } as const;
    });
    for (let at = 0; at < pipelines.length; at += 4) await checkShown(pipelines.slice(at, at + 4));
  },
);

test('of deliveries over TLS, each sent the moment that its client has a 401, none is lost', async () => {
  const pair = [messageOf('no signature', 40_000), messageOf('a delivery', 60_000)];
  await checkShown([{ messages: Array(50).fill(pair).flat(), cuts: 'between messages', over: 'TLS' }]);
});

test('whatever follows whatever, however it is cut', async () => {
  const tried = { connections: 0, messages: 0, bytes: 0 };
  await fuzz(fc.array(pipeline, { minLength: 1, maxLength: 4 }), async (pipelines) => {
    tried.connections += pipelines.length;
    for (const { messages } of pipelines) {
      tried.messages += messages.length;
      for (const { size } of messages) tried.bytes += size;
    }
    await checkShown(pipelines);
  });
  console.log(`${JSON.stringify(tried)}, seed ${SEED}`);
});

test('nothing is left half-sent upstream, and the proxy logged nothing odd', async () => {
  for (const { proxy, upstream } of Object.values(on)) {
    expect(upstream.leftovers()).toEqual([]);
    // Signed bodies that are too large are told, and rightly.
    expect(proxy.logs().filter(({ level, msg }) => level === 'error' && msg !== 'diagnosis')).toEqual([]);
    expect((await proxy.stop()).code).toBe(0);
  }
});
