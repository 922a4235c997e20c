// Guarantees about every head that passes the gate, stated without the gate's rules; and no head breaks the gate, or what
// is read from it.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foldPath } from '../../src/core/fold-path.ts';
import { refusedByGate } from '../../src/core/gate-rules.ts';
import { endToEnd } from '../../src/core/header-lines.ts';
import { declaredLength, Head, hasBody, pathOf } from '../../src/core/request-head.ts';
import { assertSome } from './time-box.ts';

const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('/', 'a', 'notify', '?', '%41', '%c3%a9', '=', '.', ';', '~', '%2e') },
  { weight: 1, arbitrary: fc.constantFrom('#', '%', '%0a', '%zz', ' ', '\\', '{', '%7F', 'http://a/') },
  { weight: 1, arbitrary: byte },
);
const target = fc
  .tuple(fc.constantFrom('/', '/', '/', ''), fc.array(piece, { maxLength: 8 }))
  .map(([slash, pieces]) => slash + pieces.join(''));

const NAMES = [
  ...['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Expect', 'Upgrade', 'X-A', 'Entrupy-Signature'],
  ...['__proto__', 'TE'],
];
const VALUES = [
  ...['a', 'a:1', '3', '0', '03', 'chunked', 'CHUNKED', 'gzip, chunked', 'close', 'x-a, close', 'host'],
  ...['100-continue', '', 'a, b'],
];
const line = fc.tuple(
  fc.constantFrom(...NAMES),
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...VALUES) }, { weight: 1, arbitrary: fc.string({ unit: byte }) }),
);
const lines = fc
  .tuple(fc.constantFrom<string[][]>([['Host', 'a']], [['Host', 'a']], []), fc.array(line, { maxLength: 4 }))
  .map(([first, rest]) => [...first, ...rest].flat());

const anything = fc.string({ unit: byte, maxLength: 40 });
const odd = fc.record({
  method: anything,
  version: anything,
  target: anything,
  lines: fc.array(anything, { maxLength: 9 }),
});
const honest = fc.record({
  method: fc.constantFrom('GET', 'POST', 'OPTIONS', 'CONNECT'),
  version: fc.constantFrom('1.1', '1.1', '1.1', '1.0', '2.0', '0.9'),
  target,
  lines,
});

const valuesOf = (list: readonly string[], name: string) =>
  list.filter((_, at) => at % 2 === 1 && list[at - 1]?.toLowerCase() === name);

function expectOneFraming(list: readonly string[], version: string): void {
  const lengths = valuesOf(list, 'content-length');
  const codings = valuesOf(list, 'transfer-encoding');
  expect(lengths.length + codings.length).toBeLessThanOrEqual(1);
  for (const length of lengths)
    expect([String(Number(length)), Number.isSafeInteger(Number(length))]).toEqual([length, true]);
  for (const coding of codings) expect([coding.toLowerCase(), version]).toEqual(['chunked', '1.1']);
}

function expectPlainTarget(target: string): void {
  expect(target).toMatch(/^\/[!-~]*$/);
  expect(target).not.toContain('#');
  // The WHATWG parser strips, converts and cuts. In a target that passed the gate it may only resolve dot segments.
  const path = pathOf(target);
  if (!/\/(?:\.|%2e)/i.test(path)) expect(new URL(`http://a.example${target}`).pathname).toBe(path);
  // decodeURI keeps reserved escapes, and throws on bad ones and on invalid UTF-8, which are made harmless first.
  const decoded = decodeURIComponent(path.replace(/%[89a-f][0-9a-f]/gi, 'x'));
  expect(decoded).not.toMatch(/[\x00-\x1f\x7f]/);
}

test('past the gate a head has one Host, one framing and a plain target', () => {
  assertSome(
    fc.property(fc.oneof({ weight: 9, arbitrary: honest }, odd), ({ lines, ...start }) => {
      const head = new Head(start, lines);
      hasBody(head);
      declaredLength(head);
      const kept = endToEnd(lines);
      const bytes = foldPath(pathOf(start.target))?.readings[0]?.at(-1)?.join('/') ?? '';
      expect(Buffer.byteLength(bytes, 'latin1')).toBeLessThanOrEqual(start.target.length);
      if (refusedByGate(head) !== null) return;
      expect(['1.0', '1.1']).toContain(start.version);
      expect(start.method).not.toBe('CONNECT');
      const hosts = valuesOf(lines, 'host');
      expect(hosts).toHaveLength(1);
      expect(hosts[0]).not.toMatch(/[^!-~]|[/\\?#@,;%]/);
      expectOneFraming(lines, start.version);
      expectPlainTarget(start.target);
      // No line is lost but those between two hops.
      for (const name of ['host', 'content-length', 'entrupy-signature'])
        expect([name, valuesOf(kept, name)]).toEqual([name, valuesOf(lines, name)]);
      for (const name of ['connection', 'te', 'transfer-encoding', 'upgrade', 'expect'])
        expect(valuesOf(kept, name)).toEqual([]);
    }),
    1,
  );
});
