// Pipelines: messages on one connection, with bodies of up to 120 KB that look like requests themselves, cut anywhere.
import fc from 'fast-check';
import { DROPPED_BODY, FILLINGS, KINDS, MAX_HEADER, type Message, type Sent } from './pipeline-messages.ts';

const MOST_BODY = 120_000;

/**
 * What the client waits for behind a piece: nothing, the next turn of the event loop, the kernel, or the answers to all
 * that it has sent.
 */
export type Pause = 'nothing' | 'a turn' | 'the kernel' | 'the answers';

/** A place at which the bytes are cut, counted from the beginning of a message. */
interface Cut {
  readonly message: number;
  readonly offset: number;
  /** So many bytes behind it go out one by one. */
  readonly singles: number;
  readonly pause: Pause;
}

export interface Pipeline {
  readonly messages: readonly Message[];
  /** `between messages`: nothing is pipelined, each message goes out the moment that the last one is answered. */
  readonly cuts: readonly Cut[] | 'between messages';
  readonly over: 'TCP' | 'TLS';
}

const around = (size: number) => fc.integer({ min: size - 300, max: size + 300 });
const size = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.nat(3_000) },
  { weight: 2, arbitrary: fc.nat(DROPPED_BODY) },
  { weight: 2, arbitrary: fc.nat(MOST_BODY) },
  { weight: 1, arbitrary: fc.oneof(around(MAX_HEADER), around(DROPPED_BODY)) },
);
const message: fc.Arbitrary<Message> = fc.record({
  kind: fc.constantFrom(...(Object.keys(KINDS) as Message['kind'][])),
  size,
  filling: fc.constantFrom(...(Object.keys(FILLINGS) as Message['filling'][])),
  chunk: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 500, max: 70_000 }) },
  ),
  held: fc.boolean(),
});
const cut: fc.Arbitrary<Cut> = fc.record({
  message: fc.nat(7),
  offset: fc.oneof(
    fc.integer({ min: -8, max: 8 }),
    fc.integer({ min: -3_000, max: 3_000 }),
    fc.integer({ min: -70_000, max: 70_000 }),
  ),
  singles: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(9) }),
  pause: fc.constantFrom<Pause>('nothing', 'a turn', 'the kernel', 'the answers'),
});
const over = fc.constantFrom('TCP', 'TLS');
const pipelined: fc.Arbitrary<Pipeline> = fc.record({
  messages: fc.array(message, { minLength: 1, maxLength: 6 }),
  cuts: fc.array(cut, { maxLength: 8 }),
  over,
});
/** Bodies that are refused before they have come, and more than is kept behind them. */
const polite: fc.Arbitrary<Pipeline> = fc.record({
  messages: fc.array(
    fc.record({
      kind: fc.constantFrom('no signature', 'no route', 'a delivery', 'an upload', 'too large'),
      size: fc.integer({ min: MAX_HEADER, max: MOST_BODY }),
      filling: fc.constantFrom('requests', 'deliveries'),
      chunk: fc.constant(0),
      held: fc.constant(false),
    }),
    { minLength: 6, maxLength: 12 },
  ),
  cuts: fc.constant('between messages'),
  over,
});
export const pipeline = fc.oneof({ weight: 2, arbitrary: pipelined }, { weight: 2, arbitrary: polite });

export interface Piece {
  readonly bytes: Buffer;
  readonly pause: Pause;
  /** The number of messages that can be answered with this piece. */
  readonly answerable: number;
}

export function piecesOf(sent: readonly Sent[], cuts: Pipeline['cuts']): Piece[] {
  if (cuts === 'between messages')
    return sent.map(({ bytes }, index) => ({ bytes, pause: 'the answers', answerable: index + 1 }));
  const bytes = Buffer.concat(sent.map((message) => message.bytes));
  const ends: number[] = [];
  for (const message of sent) ends.push((ends.at(-1) ?? 0) + message.bytes.length);
  const pauses = new Map<number, Pause>();
  for (const { message, offset, singles, pause } of cuts) {
    const at = (ends[(message % sent.length) - 1] ?? 0) + offset;
    for (let more = 0; more <= singles; more++) pauses.set(Math.min(Math.max(at + more, 1), bytes.length), pause);
  }
  pauses.set(bytes.length, pauses.get(bytes.length) ?? 'nothing');
  let from = 0;
  return [...pauses]
    .sort(([a], [b]) => a - b)
    .map(([to, pause]) => {
      const answerable = sent.filter(({ needs }, index) => (ends[index - 1] ?? 0) + needs <= to).length;
      const piece = { bytes: bytes.subarray(from, to), pause, answerable };
      from = to;
      return piece;
    });
}
