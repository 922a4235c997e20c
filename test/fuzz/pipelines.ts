// Pipelines: messages on one connection, with bodies of up to 120 KB that look like requests themselves, cut anywhere.
import fc from 'fast-check';
import { DROPPED_BODY, FILLINGS, KINDS, MAX_HEADER, type Message, type Sent } from './pipeline-messages.ts';

/** Bytes of the longest body. */
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
  readonly cuts: readonly Cut[];
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
export const pipeline: fc.Arbitrary<Pipeline> = fc.record({
  messages: fc.array(message, { minLength: 1, maxLength: 6 }),
  cuts: fc.array(cut, { maxLength: 8 }),
});

export interface Piece {
  readonly bytes: Buffer;
  readonly pause: Pause;
  /** The number of messages that are whole with this piece. */
  readonly whole: number;
}

/** The messages' bytes, cut. */
export function piecesOf(sent: readonly Sent[], cuts: readonly Cut[]): Piece[] {
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
      const piece = { bytes: bytes.subarray(from, to), pause, whole: ends.filter((end) => end <= to).length };
      from = to;
      return piece;
    });
}
