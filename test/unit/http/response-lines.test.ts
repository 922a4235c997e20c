import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headLines } from '../../../src/http/response-lines.ts';

const bytes = fc.uint8Array({ maxLength: 12 }).map((part) => Buffer.from(part));

/** Parts as undici hands them over: views of what the socket brought, in order, with a gap between each two. */
function viewsOf(parts: readonly Buffer[], gap: string): Buffer[] {
  const whole = Buffer.concat(parts.flatMap((part) => [Buffer.from(gap), part]));
  let at = 0;
  return parts.map((part) => {
    at += gap.length;
    const view = whole.subarray(at, at + part.length);
    at += part.length;
    return view;
  });
}

test('a head is the same text however its parts lie in memory', () => {
  const shape = fc.record({
    parts: fc.array(fc.tuple(bytes, bytes), { maxLength: 8 }).map((pairs) => pairs.flat()),
    lie: fc.constantFrom('in one piece', 'the last apart', 'one apart', 'backwards', 'each apart'),
  });
  fc.assert(
    fc.property(shape, ({ parts, lie }) => {
      const expected = parts.map((part) => part.toString('latin1'));
      const views = viewsOf(parts, ': ');
      const apart = (at: number) => views.map((view, index) => (index === at ? Buffer.from(view) : view));
      const raw = {
        'in one piece': views,
        'the last apart': apart(views.length - 1),
        'one apart': apart(1),
        backwards: viewsOf(parts.toReversed(), ': ').toReversed(),
        'each apart': parts.map((part) => Buffer.from(part)),
      }[lie];
      const hopByHop = /^(?:connection|keep-alive|te|trailer|upgrade|expect)$/i;
      fc.pre(!expected.some((text, index) => index % 2 === 0 && hopByHop.test(text)));
      expect(headLines(raw)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('hop-by-hop lines go, in any spelling, and every other one stays', () => {
  const lines = ['Date', 'x', 'KEEP-alive', 'timeout=5', 'Te', 'trailers', 'Server-X-Yz', 'y', 'CONNECTION', 'x-gone'];
  const raw = [...lines, 'X-Gone', 'z', 'transfer-Encoding', 'chunked'].map((part) => Buffer.from(part));
  expect(headLines(viewsOf(raw, '\r\n'))).toEqual(['Date', 'x', 'Server-X-Yz', 'y']);
});
