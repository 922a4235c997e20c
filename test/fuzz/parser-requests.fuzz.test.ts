// The parser against node:http's server: complete and in random pieces, the same requests with the same ends. Ours may
// be stricter, never looser; each justified difference is a row of known-differences.ts.
import { expect, test } from 'vitest';
import { cut, eachByte, type Parsed, parse } from '../support/http/parsed.ts';
import { disagreement, endDisagreement } from './compare-requests.ts';
import { withoutReason } from './known-differences.ts';
import { bytesOf, script } from './pipelined-requests.ts';
import { ReferenceServer } from './reference-server.ts';
import { fuzz, SEED, TEST_TIMEOUT } from './time-box.ts';

/** Shorter inputs are also split after every byte. */
const SHORT = 2000;

const reference = new ReferenceServer();

test('our parser and node:http read the same requests', { timeout: TEST_TIMEOUT }, async () => {
  const tried = { connections: 0, requests: 0, refused: 0 };
  await fuzz(script, async (script) => {
    const bytes = bytesOf(script);
    try {
      const { messages, state } = await check(bytes, script.cuts);
      tried.connections++;
      tried.requests += messages.length;
      if (state === 'malformed' || state === 'too_large') tried.refused++;
    } catch (error) {
      throw new Error(`sent: ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error });
    }
  });
  console.log(`${JSON.stringify(tried)}, seed ${SEED}`);
  expect(tried.requests).toBeGreaterThan(0);
});

async function check(bytes: Buffer, cuts: readonly number[]): Promise<Parsed> {
  const ours = parse('request', [bytes]);
  expect(withoutReason(parse('request', cut(bytes, cuts)))).toEqual(withoutReason(ours));
  if (bytes.length < SHORT) expect(withoutReason(parse('request', eachByte(bytes)))).toEqual(withoutReason(ours));
  const [first, ...rest] = ours.messages;
  if (first?.keepAlive) {
    const { messages } = parse('request', [bytes.subarray(first.end)]);
    expect(messages.map((message) => ({ ...message, end: message.end + first.end }))).toEqual(rest);
  }
  expect(await disagreement(reference, bytes, cuts)).toBeNull();
  expect(await endDisagreement(reference, bytes)).toBeNull();
  return ours;
}
