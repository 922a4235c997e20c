// The parser against node:http's client: complete and in random pieces, the same responses with the same ends. Ours may
// be stricter, never looser; each justified difference is a row of known-differences.ts.
import { expect, test } from 'vitest';
import { cut, eachByte, type Parsed, parse } from '../support/http/parsed.ts';
import { disagreement, endDisagreement, parsed, type Wire } from './compare-responses.ts';
import { withoutReason } from './known-differences.ts';
import { bytesOf, responseScript } from './responses.ts';
import { fuzz, SEED, TEST_TIMEOUT } from './time-box.ts';

/** Shorter inputs are also split after every byte. */
const SHORT = 2000;

test('our parser and node:http read the same responses', { timeout: TEST_TIMEOUT }, async () => {
  const tried = { connections: 0, responses: 0, refused: 0 };
  await fuzz(responseScript, async (script) => {
    const { cuts, closes } = script;
    const wire = { bytes: bytesOf(script), cuts, closes, answers: [...script.messages.map(({ to }) => to), 'GET'] };
    try {
      const { messages, state } = await check(wire);
      tried.connections++;
      tried.responses += messages.length;
      if (state === 'malformed' || state === 'too_large') tried.refused++;
    } catch (error) {
      throw new Error(`to ${wire.answers}: ${JSON.stringify(wire.bytes.toString('latin1'))}`, { cause: error });
    }
  });
  console.log(`${JSON.stringify(tried)}, seed ${SEED}`);
  expect(tried.responses).toBeGreaterThan(0);
});

async function check(wire: Wire): Promise<Parsed> {
  const ours = parsed(wire);
  expect(withoutReason(parse('response', cut(wire.bytes, wire.cuts), wire))).toEqual(withoutReason(ours));
  if (wire.bytes.length < SHORT)
    expect(withoutReason(parse('response', eachByte(wire.bytes), wire))).toEqual(withoutReason(ours));
  expect(await disagreement(wire)).toBeNull();
  expect(await endDisagreement(wire)).toBeNull();
  return ours;
}
