// Truncated and ambiguous responses, row by row: none may be taken for complete.
import {
  broken,
  CHUNKED,
  chunks,
  cut,
  head,
  type Misbehaviour,
  odd,
  says,
  saysAndEnds,
  saysAndResets,
  textOf,
  whole,
} from './misbehaviour.ts';

/** Truncated responses: never to be taken for complete. */
export const HALVES: readonly Misbehaviour[] = [
  cut(
    'half a length and a close',
    saysAndEnds((id) => `${head(id, ['Content-Length: 99999'])}id=${id};`),
  ),
  cut(
    'chunks without an end',
    saysAndEnds((id) => head(id, [CHUNKED]) + chunks(id)),
  ),
  cut(
    'half a chunk and a close',
    saysAndEnds((id) => `${head(id, [CHUNKED])}ffff\r\nid=${id};`),
  ),
  cut(
    'half a trailer and a close',
    saysAndEnds((id) => `${head(id, [CHUNKED])}${chunks(id)}0\r\nX: y`),
  ),
  cut(
    'a length without a body',
    saysAndEnds((id) => head(id, ['Content-Length: 18446744073709551615'])),
  ),
  broken(
    'half a length and a reset',
    saysAndResets((id) => `${head(id, ['Content-Length: 99999'])}id=${id};`),
  ),
  broken(
    'half a chunk and a reset',
    saysAndResets((id) => `${head(id, [CHUNKED])}ffff\r\nid=${id};`),
  ),
  broken(
    'until a reset',
    saysAndResets((id) => head(id) + textOf(id)),
  ),
  ...['zz', '-5', '0x5', '5 5', '+5', 'fffffffffffffffff', '', ' '].map((size) =>
    broken(
      `the chunk size ${size}`,
      says((id) => `${head(id, [CHUNKED])}${chunks(id)}${size}\r\nabcde\r\n0\r\n\r\n`),
    ),
  ),
  broken(
    'an overlong chunk',
    says((id) => `${head(id, [CHUNKED])}3\r\nabcdef\r\n0\r\n\r\n`),
  ),
];

/** Any outcome is allowed, but the response must be the client's own. */
export const ANYTHING: readonly Misbehaviour[] = [
  odd(
    'line endings before the response',
    says((id) => `\r\n\r\n${whole(id)}`),
  ),
  odd(
    'bare line feeds',
    saysAndEnds((id) => whole(id).replaceAll('\r\n', '\n')),
  ),
  odd(
    'an empty length',
    saysAndEnds((id) => `${head(id, ['Content-Length:'])}${textOf(id)}`),
  ),
  odd(
    'chunks from HTTP/1.0',
    saysAndEnds((id) => `${head(id, [CHUNKED], 'HTTP/1.0 200 OK')}${chunks(id)}0\r\n\r\n`),
  ),
  odd(
    'chunked and a tab',
    saysAndEnds((id) => `${head(id, [`${CHUNKED}\t`])}${chunks(id)}0\r\n\r\n`),
  ),
  odd(
    '150 lines',
    says((id) => whole(id, Array(150).fill('X-A: b'))),
  ),
  odd(
    'trailers of 70 KiB',
    says((id) => `${head(id, [CHUNKED])}${chunks(id)}0\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`),
  ),
  odd(
    'an extension of 100 KB',
    says((id) => `${head(id, [CHUNKED])}2;${'a'.repeat(100_000)}\r\nok\r\n0\r\n\r\n`),
  ),
];

/** Silence costs time: one in a hundred. */
export const SILENT: readonly Misbehaviour[] = [
  { name: 'silence', allowed: ['refused'], play: () => {} },
  { name: 'half a head and silence', allowed: ['refused'], play: says((id) => head(id).slice(0, -3)) },
  cut(
    'half a length and silence',
    says((id) => `${head(id, ['Content-Length: 99999'])}id=${id};`),
  ),
  cut(
    'chunks and silence',
    says((id) => head(id, [CHUNKED]) + chunks(id)),
  ),
];
