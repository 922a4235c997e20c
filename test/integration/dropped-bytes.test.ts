// Dropped bytes end the connection.
// Each byte that a client sends belongs to exactly one message (RFC 9112 9.3). A proxy that drops bytes in the middle of
// a connection and reads on swallows the next delivery, or takes a piece of its body for a request: behind a front that
// pools connections a stranger so spoils the deliveries of others.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  delivery,
  faultsOf,
  HIDDEN,
  hiding,
  type Message,
  openGet,
  openPost,
  type Piece,
  ROUTES,
  refusedChunks,
  refusedPost,
  SECRET,
  startEcho,
} from '../support/http/sequence.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { seeded } from '../support/runner/seeded.ts';
import type { Upstream } from '../support/upstream/upstream.ts';

const KIB = 1024;
const TRIES = 10;
const LONGEST = 120_000;
const SEED = Number(process.env.SEED ?? 22);
const SEQUENCES = Number(process.env.SEQUENCES ?? 200);
const AT_ONCE = 6;
/** So that a connection that waits for what was swallowed ends. */
const LIMITS = { bodyTimeout: '5s', headersTimeout: '5s' };

let upstream: Upstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startEcho();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, routes: ROUTES, limits: LIMITS, log: { requests: 'none' } },
    secrets: { current: SECRET },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});
beforeEach(() => {
  upstream.requests.length = 0;
});

const filled = (bytes: number) => Buffer.alloc(bytes, 'x');

const cut = (bytes: Buffer, at: number) => [bytes.subarray(0, at), bytes.subarray(at)] as const;

/** Tries so many variants; returns the faults, with a count first if there are any. */
async function tried(
  attempt: (nth: number) => { messages: Message[]; pieces: Piece[] },
  tries = TRIES,
): Promise<string[]> {
  const faults: string[] = [];
  let failed = 0;
  for (let nth = 0; nth < tries; nth++) {
    const { messages, pieces } = attempt(nth);
    const found = await faultsOf({ proxy, upstream }, messages, pieces);
    if (found.length > 0) failed++;
    faults.push(...found);
  }
  return failed === 0 ? [] : [`${failed} of ${tries} failed`, ...new Set(faults)];
}

describe('the last bytes of a refused body, in one read with a delivery', () => {
  test.each([1, 9, 64].flatMap((refused) => [17, 33, 63, 100].map((size) => ({ refused, size }))))(
    'a body of $refused KiB and a delivery of $size KB',
    async ({ refused, size }) => {
      const faults = await tried((nth) => {
        const first = refusedPost(`refused-${nth}`, filled(refused * KIB));
        const second = delivery(`delivery-${nth}`, filled(size * 1000 + nth));
        const [most, tail] = cut(first.bytes, first.bytes.length - 1 - nth);
        const pieces = [{ bytes: most }, { bytes: Buffer.concat([tail, second.bytes]), after: 1 }];
        return { messages: [first, second], pieces };
      });
      expect(faults).toEqual([]);
    },
  );

  test('a request within the body of the delivery is never forwarded', async () => {
    const faults = await tried((nth) => {
      const first = refusedPost(`refused-${nth}`, filled(2000));
      const second = delivery(`delivery-${nth}`, hiding(`delivery-${nth}`, 100_000, 60_000));
      const [most, tail] = cut(first.bytes, 1500);
      const [before, behind] = cut(second.bytes, second.bytes.indexOf(HIDDEN));
      const pieces: Piece[] = [
        { bytes: most },
        { bytes: Buffer.concat([tail, before]), after: 1 },
        { bytes: behind, apart: true },
      ];
      return { messages: [first, second], pieces };
    });
    expect(faults).toEqual([]);
  });
});

describe('plain pipelining', () => {
  const kinds = [
    { name: 'a delivery', first: (nth: number) => delivery(`first-${nth}`, filled(200)) },
    { name: 'a refused POST', first: (nth: number) => refusedPost(`first-${nth}`, filled(200)) },
    { name: 'a GET', first: (nth: number) => openGet(`first-${nth}`) },
  ];
  const second = (nth: number) =>
    delivery(`second-${nth}`, hiding(`second-${nth}`, 18_000 + (nth % 20) * 2500, 17_000));

  test.each(kinds)('$name, and behind it in one write a delivery, and then another', async ({ first }) => {
    const faults = await tried((nth) => {
      const messages = [first(nth), second(nth), delivery(`third-${nth}`, filled(300))];
      return { messages, pieces: [{ bytes: Buffer.concat(messages.map(({ bytes }) => bytes)) }] };
    });
    expect(faults).toEqual([]);
  });

  test.each(kinds.filter(({ name }) => name !== 'a refused POST'))(
    '$name, and behind it a delivery that comes just when the first is answered',
    async ({ first }) => {
      const faults = await tried((nth) => {
        const messages = [first(nth), second(nth)];
        const [begun, rest] = cut(Buffer.concat(messages.map(({ bytes }) => bytes)), 10_000);
        return { messages, pieces: [{ bytes: begun }, { bytes: rest, beside: nth % 8 }] };
      }, 60);
      expect(faults).toEqual([]);
    },
  );
});

/** Each of the makers in its share, by a number from 0 to 1. */
const makeOf = (kind: number): ((id: string, body: Buffer) => Message) => {
  if (kind < 0.15) return openGet;
  if (kind < 0.25) return openPost;
  if (kind < 0.4) return refusedPost;
  return kind < 0.55 ? refusedChunks : delivery;
};

/** Refused and served requests with bodies up to 120 KB, some of which hide a request, cut anywhere. */
function sequence(random: () => number, nth: number): { messages: Message[]; pieces: Piece[] } {
  const size = () => Math.floor(random() < 0.5 ? random() * 3000 : random() * LONGEST);
  const messages = Array.from({ length: 2 + Math.floor(random() * 4) }, (_, index): Message => {
    const id = `${nth}-${index}`;
    const bytes = size();
    const body =
      bytes > 200 && random() < 0.5 ? hiding(id, bytes, Math.floor(random() * (bytes - 100))) : filled(bytes);
    const kind = random();
    return makeOf(kind)(id, body);
  });
  const all = Buffer.concat(messages.map(({ bytes }) => bytes));
  const ends = messages.map((_, index) => messages.slice(0, index).reduce((sum, { bytes }) => sum + bytes.length, 0));
  // Cuts fall anywhere, and often just before the end of a message or at a request within a body.
  const hidden = [...all.toString('latin1').matchAll(new RegExp(HIDDEN, 'g'))].map(({ index }) => index);
  const near = () => (ends[Math.floor(random() * ends.length)] ?? 0) - Math.floor(random() * 20);
  const cuts = [
    ...hidden,
    ...Array.from({ length: 4 }, () => (random() < 0.5 ? near() : Math.floor(random() * all.length))),
  ]
    .filter((at) => at > 0)
    .sort((a, b) => a - b);
  const pieces = [0, ...cuts].map((from, index): Piece => {
    const bytes = all.subarray(from, cuts[index] ?? all.length);
    // A refusal comes before its body: where it is due, its bytes may wait for it.
    const begun = messages.findLastIndex((_, at) => (ends[at] ?? 0) + 200 < from);
    const refusals = begun >= 0 && messages[begun]?.expect === 'refused' ? begun + 1 : 0;
    const kind = random();
    return kind < 0.4 ? { bytes, after: refusals } : kind < 0.7 ? { bytes, apart: true } : { bytes };
  });
  return { messages, pieces };
}

test(`${SEQUENCES} sequences of refused and served requests up to 120 KB, cut anywhere`, async () => {
  const random = seeded(SEED);
  const inputs = Array.from({ length: SEQUENCES }, (_, nth) => sequence(random, nth));
  const faults: string[] = [];
  let failed = 0;
  let next = 0;
  const worker = async () => {
    for (let nth = next++; nth < inputs.length; nth = next++) {
      const input = inputs[nth];
      if (input === undefined) continue;
      const found = await faultsOf({ proxy, upstream }, input.messages, input.pieces);
      if (found.length > 0) failed++;
      faults.push(...found.map((fault) => `sequence ${nth}: ${fault}`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  expect(faults.slice(0, 20), `${failed} of ${SEQUENCES} sequences failed`).toEqual([]);
});
