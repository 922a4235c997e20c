// Our parser against Node's llhttp: the same messages with the same ends, whole and in random pieces. Ours may be stricter,
// never looser; each justified difference is a row of parser-differences.ts.
import { expect, test } from 'vitest';
import { cut, eachByte, type Parsed, parse } from '../support/http/parsed.ts';
import { readByNode } from './node-llhttp.ts';
import { disagreement, withoutReason } from './parser-differences.ts';
import { bytesOf, type ParserScript, SCRIPTS } from './parser-messages.ts';
import { fuzz, SEED } from './time-box.ts';

/** Shorter inputs are also split after every byte. */
const SHORT = 2000;

test.each(['request', 'response'] as const)('our parser and Node’s read each %s alike', async (type) => {
  const tried = { connections: 0, messages: 0, refused: 0 };
  const check = async (script: ParserScript) => {
    const bytes = bytesOf(type, script);
    const answers = [...script.messages.map(({ to }) => to), 'GET'];
    const { closes } = script;
    try {
      const { messages, state } = checked(type, { bytes, answers, closes, cuts: script.cuts });
      tried.connections++;
      tried.messages += messages.length;
      if (state === 'malformed' || state === 'too_large') tried.refused++;
    } catch (error) {
      throw new Error(`to ${answers}: ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error });
    }
  };
  await fuzz(SCRIPTS[type], check, { properties: 2, enough: () => tried.messages > 0 });
  console.log(`${JSON.stringify(tried)}, seed ${SEED}`);
});

interface Wire {
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
  readonly answers: readonly string[];
  readonly closes: boolean;
}

function checked(type: 'request' | 'response', { bytes, cuts, ...exchanges }: Wire): Parsed {
  const ours = parse(type, [bytes], exchanges);
  expect(withoutReason(parse(type, cut(bytes, cuts), exchanges))).toEqual(withoutReason(ours));
  if (bytes.length < SHORT) expect(withoutReason(parse(type, eachByte(bytes), exchanges))).toEqual(withoutReason(ours));
  expect(disagreement(bytes, ours, readByNode(type, bytes, exchanges))).toBeNull();
  return ours;
}
