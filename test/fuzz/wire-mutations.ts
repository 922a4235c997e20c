// How the wire fuzzer mutates a request: edits of bytes, lines, numbers and chunks. An edit is plain data, so a failing
// one can be printed, shrunk and replayed.
import fc from 'fast-check';
import { signatureLine } from '../conformance/wire-case.ts';

/** The inserted pieces. Each may trip a parser, or is half of an attack. */
const TOKENS = [
  ...['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ';', ',', '\xff', '\x7f', '0', '\r\n\r\n', '\r\n ', '=', '%', '#'],
  ...['0\r\n\r\n', '1\r\na\r\n', '5;x=y\r\n', 'ffffffffffffffff\r\n', '-1\r\n', '0x1\r\n', '00\r\n', '\r\n0\r\n\r\n'],
  ...['Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: gzip, chunked\r\n', 'Transfer-Encoding : chunked\r\n'],
  ...['Transfer-Encoding:\r\n chunked\r\n', 'transfer-encoding: identity\r\n', 'TE: trailers\r\n', 'Trailer: Host\r\n'],
  ...['Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'Content-Length: 05\r\n', 'Content-Length: +5\r\n'],
  ...['Content-Length: 18446744073709551621\r\n', 'Content-Length: 5, 5\r\n', 'Content_Length: 5\r\n'],
  ...['Host: b\r\n', 'Host:\r\n', 'Connection: close\r\n', 'Connection: keep-alive\r\n'],
  ...['Connection: content-length\r\n', 'Connection: entrupy-signature\r\n', 'Connection: x-a, upgrade\r\n'],
  ...['Upgrade: websocket\r\n', 'Upgrade: h2c\r\n'],
  ...['Expect: 100-continue\r\n', 'Expect: 200-ok\r\n', 'Entrupy-Signature: x\r\n', 'Entrupy_Signature: x\r\n'],
  ...[' HTTP/1.1\r\n', ' HTTP/1.0\r\n', ' HTTP/2.0\r\n', 'POST /notify HTTP/1.1\r\n'],
  'GET /notify HTTP/1.1\r\nHost: a\r\n\r\n',
  ...['POST /open/../notify HTTP/1.1\r\n', 'http://a', '/../', '%2f', '//', '..;/', 'X-Original-URL: /notify\r\n'],
  ...[`X: ${'a'.repeat(5_000)}\r\n`, 'X-A: b\r\n'.repeat(120), 'z'.repeat(20_000)],
  `${signatureLine('')}\r\n`,
  `POST /notify HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nforged`,
];

const NUMBERS = [
  ...['0', '1', '2', '7', '43', '45', '60', '65536', '131073', '9007199254740993', '4294967296', '-1', '1e2', '0a'],
];

/** Positions and lengths are natural numbers, taken modulo the actual length. */
export type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'insert'; readonly at: number; readonly text: string }
  | { readonly kind: 'delete'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: 'line'; readonly at: number; readonly to: number; readonly how: 'swap' | 'copy' | 'drop' }
  | { readonly kind: 'put'; readonly at: number; readonly text: string }
  | { readonly kind: 'number'; readonly at: number; readonly text: string }
  | { readonly kind: 'cut'; readonly at: number };

const at = fc.nat(1 << 18);

/** Edits that insert pieces that may trip any parser, and `more`. */
export function mutationOf(more: readonly string[]): fc.Arbitrary<Mutation> {
  const token = fc.constantFrom(...TOKENS, ...more);
  return fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('insert' as const), at, text: token }),
    fc.record({ kind: fc.constant('delete' as const), at, length: fc.integer({ min: 1, max: 40 }) }),
    fc.record({
      kind: fc.constant('repeat' as const),
      at,
      length: fc.integer({ min: 1, max: 200 }),
      times: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({
      kind: fc.constant('line' as const),
      at,
      to: at,
      how: fc.constantFrom('swap' as const, 'copy' as const, 'drop' as const),
    }),
    fc.record({ kind: fc.constant('put' as const), at, text: token }),
    fc.record({ kind: fc.constant('number' as const), at, text: fc.constantFrom(...NUMBERS) }),
    fc.record({ kind: fc.constant('cut' as const), at }),
  );
}

export const mutation: fc.Arbitrary<Mutation> = mutationOf([]);

export const fewMutations = (one: fc.Arbitrary<Mutation>): fc.Arbitrary<Mutation[]> =>
  fc.oneof(fc.constant<Mutation[]>([]), fc.array(one, { minLength: 1, maxLength: 3 }));

export function mutate(bytes: string, mutation: Mutation): string {
  const at = mutation.at % (bytes.length + 1);
  switch (mutation.kind) {
    case 'flip': {
      if (at === bytes.length) return bytes;
      const flipped = String.fromCharCode(bytes.charCodeAt(at) ^ (1 << mutation.bit));
      return bytes.slice(0, at) + flipped + bytes.slice(at + 1);
    }
    case 'insert':
      return bytes.slice(0, at) + mutation.text + bytes.slice(at);
    case 'delete':
      return bytes.slice(0, at) + bytes.slice(at + mutation.length);
    case 'repeat':
      return bytes.slice(0, at) + bytes.slice(at, at + mutation.length).repeat(mutation.times) + bytes.slice(at);
    case 'line':
      return editLines(bytes, mutation);
    case 'put':
      return putLine(bytes, mutation);
    case 'number':
      return changeNumber(bytes, mutation);
    case 'cut':
      return bytes.slice(0, at);
    default:
      return mutation satisfies never;
  }
}

/** Lines with their endings: those of the head, and of the body if it has any. */
const linesOf = (bytes: string) => bytes.split(/(?<=\r\n)/);

function editLines(bytes: string, { at, to, how }: Mutation & { kind: 'line' }): string {
  const lines = linesOf(bytes);
  const [from, target] = [at % lines.length, to % lines.length];
  const [one = '', other = ''] = [lines[from], lines[target]];
  if (how === 'drop') lines.splice(from, 1);
  else if (how === 'copy') lines.splice(target, 0, one);
  else [lines[from], lines[target]] = [other, one];
  return lines.join('');
}

/** Between two lines, at a header's position. */
function putLine(bytes: string, { at, text }: Mutation & { kind: 'put' }): string {
  const lines = linesOf(bytes);
  lines.splice(at % (lines.length + 1), 0, text);
  return lines.join('');
}

/** Lengths, chunk sizes, versions: any run of digits. */
function changeNumber(bytes: string, { at, text }: Mutation & { kind: 'number' }): string {
  const runs = [...bytes.matchAll(/\d+/g)];
  const run = runs[at % Math.max(runs.length, 1)];
  if (run === undefined) return bytes;
  return bytes.slice(0, run.index) + text + bytes.slice(run.index + run[0].length);
}
