// Lines, chunks, trailers and versions: the exact grammar of RFC 9112.
import { get, request } from '../../support/http/requests.ts';
import {
  closing,
  delivered,
  refused,
  served,
  signatureLine,
  signed,
  signedAbc,
  unauthorized,
  type WireCase,
} from '../wire-case.ts';

const chunked = (body: string, lines: readonly string[] = []) =>
  signedAbc(['Transfer-Encoding: chunked', ...lines], body);

const unsignedChunks = (path: string, body: string) =>
  request([`POST ${path} HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked'], body);

const LINES: readonly WireCase[] = [
  refused('bare LF after the request line', signed('abc').replace('HTTP/1.1\r\n', 'HTTP/1.1\n')),
  refused('bare LF after a header', signed('abc').replace('Host: a\r\n', 'Host: a\n')),
  refused('bare LF before the body', signed('abc').replace('\r\n\r\nabc', '\r\n\nabc')),
  refused('bare CR within a value', get('/open', ['X-A: b\rX-B: c'])),
  refused('bare CR as a line ending', signed('abc').replace('Host: a\r\n', 'Host: a\r')),
  refused('CR CR LF for a line end', signed('abc').replace('Host: a\r\n', 'Host: a\r\r\n')),
  refused('a folded line', get('/open', ['X-A: b', ' c'])),
  refused('white space before the first header', `GET /open HTTP/1.1\r\n Host: a\r\n\r\n`),
  refused('a header without a colon', get('/open', ['X-A'])),
  refused('a header without a name', get('/open', [': b'])),
  refused('a space before a colon', get('/open', ['X-A : b'])),
  refused('a space within a name', get('/open', ['X A: b'])),
  refused('a NUL in a name', get('/open', ['X\0A: b'])),
  refused('a NUL in a value', get('/open', ['X-A: b\0c'])),
  refused('a control byte in a value', get('/open', ['X-A: b\x01c'])),
  refused('DEL in a value', get('/open', ['X-A: b\x7fc'])),
  refused('a non-ASCII name', get('/open', ['X-\xe9: b'])),
  delivered('empty lines before the request', `\r\n\r\n${signed('abc')}`),
  served('white space around a value', get('/open', ['X-A: \t b c \t ']), 'GET /open', {
    lines: ['Host: a', 'X-A: b c'],
  }),
];

const CHUNKS: readonly WireCase[] = [
  ...[
    ['a letter that is not hexadecimal', 'g\r\nabc\r\n0\r\n\r\n'],
    ['0x before it', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['a plus sign', '+3\r\nabc\r\n0\r\n\r\n'],
    ['a minus sign', '-3\r\nabc\r\n0\r\n\r\n'],
    ['a space before it', ' 3\r\nabc\r\n0\r\n\r\n'],
    ['a space after it', '3 \r\nabc\r\n0\r\n\r\n'],
    ['a tab after it', '3\t\r\nabc\r\n0\r\n\r\n'],
    ['nothing', '\r\nabc\r\n0\r\n\r\n'],
    ['more than 64 bits', '10000000000000003\r\nabc\r\n0\r\n\r\n'],
    ['a bare LF after it', '3\nabc\r\n0\r\n\r\n'],
    ['a bare CR after it', '3\rabc\r\n0\r\n\r\n'],
  ].map(([name, body]) => refused(`a chunk size: ${name}`, chunked(body ?? ''))),
  refused('a chunk longer than its size', chunked('2\r\nabc\r\n0\r\n\r\n')),
  refused('a chunk that ends in a bare LF', chunked('3\r\nabc\n0\r\n\r\n')),
  refused('a chunk that ends in other bytes', chunked('3\r\nabcXX0\r\n\r\n')),
  refused('a bare LF in a chunk extension', chunked('3;a\nb\r\nabc\r\n0\r\n\r\n')),
  refused('a CRLF in a quoted chunk extension', chunked('3;a="\r\nb"\r\nabc\r\n0\r\n\r\n')),
  delivered(
    'chunks and their extensions become one length, in the place of Transfer-Encoding',
    chunked('1;a=b;c="d"\r\na\r\n2\r\nbc\r\n0;e\r\n\r\n', ['X-B: 2']),
    { lines: ['Host: a', signatureLine('abc'), 'Content-Length: 3', 'X-B: 2'] },
  ),
  refused('more chunks of one byte than any client sends', chunked('1\r\nx\r\n'.repeat(100_000))),
  delivered('zeros before a chunk size', chunked('003\r\nabc\r\n000\r\n\r\n')),
];

const OPEN_BODIES: readonly WireCase[] = [
  ...[
    ['a bad chunk size', '3\r\nabc\r\nzz\r\n'],
    ['an overlong chunk', '3\r\nabcd\r\n0\r\n\r\n'],
    ['a length in the trailers', '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['a bad trailer', '3\r\nabc\r\n0\r\nx\r\n\r\n'],
  ].map(([name, body = '']) => refused(`on an open route: ${name}`, unsignedChunks('/open', body))),
  served(
    'on an open route a length stays where it is, and the socket is not reused',
    request(['PUT /open HTTP/1.1', 'Content-Length: 6', 'Host: a', 'X-A: 1'], 'a\0b\r\nc'),
    'PUT /open a\0b\r\nc',
    { lines: ['Content-Length: 6', 'Host: a', 'X-A: 1', 'Connection: close'] },
  ),
  served('a length of 0 stays', request(['POST /open HTTP/1.1', 'Host: a', 'Content-Length: 0']), 'POST /open', {
    lines: ['Host: a', 'Content-Length: 0'],
  }),
  ...['POST', 'PATCH', 'PROPFIND'].map((method) =>
    served(
      `${method} without a length gets none`,
      request([`${method} /open HTTP/1.1`, 'Host: a']),
      `${method} /open`,
      {
        lines: ['Host: a'],
      },
    ),
  ),
];

const TRAILERS: readonly WireCase[] = [
  unauthorized(
    'a signature in the trailers alone',
    unsignedChunks('/notify', `3\r\nabc\r\n0\r\n${signatureLine('abc')}\r\n\r\n`),
  ),
  delivered(
    'trailers of a verified body are dropped',
    chunked('3\r\nabc\r\n0\r\nX-Trailer: 1\r\nHost: b\r\n\r\n', ['Trailer: X-Trailer']),
    { lines: ['Host: a', signatureLine('abc'), 'Content-Length: 3'] },
  ),
  served(
    'an extension and a re-routing trailer are dropped',
    unsignedChunks('/open', '3;x=y\r\nabc\r\n0\r\nX-Original-URL: /notify\r\n\r\n'),
    'POST /open abc',
    { lines: ['Host: a', 'Transfer-Encoding: chunked', 'Connection: close'] },
  ),
  refused('Content-Length in the trailers', chunked('3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n')),
  refused('a trailer without a colon', chunked('3\r\nabc\r\n0\r\nx\r\n\r\n')),
  refused('a folded trailer', chunked('3\r\nabc\r\n0\r\nX-A: b\r\n c\r\n\r\n')),
];

const line = (first: string) => request([first, 'Host: a', signatureLine(''), 'Content-Length: 0']);

const VERSIONS: readonly WireCase[] = [
  ...['HTTP/2.0', 'HTTP/1.2', 'HTTP/0.9', 'HTTP/1.', 'HTTP/1.10', 'HTTP/1.1 x', 'http/1.1', 'ICE/1.0'].map((version) =>
    refused(`version: ${version}`, line(`POST /notify ${version}`)),
  ),
  refused('no version', 'GET /open\r\n\r\n'),
  refused('no version, with headers', 'GET /open\r\nHost: a\r\n\r\n'),
  refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  refused('a TLS handshake', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'),
  refused('a tab before the target', 'GET\t/open HTTP/1.1\r\nHost: a\r\n\r\n'),
  refused('a tab before the version', 'GET /open\tHTTP/1.1\r\nHost: a\r\n\r\n'),
  delivered('HTTP/1.0 with a signature', signed('abc').replace('HTTP/1.1', 'HTTP/1.0'), {
    closes: true,
  }),
  closing(
    unauthorized('HTTP/1.0 without one', request(['POST /notify HTTP/1.0', 'Host: a', 'Content-Length: 3'], 'abc')),
  ),
  // llhttp parses this name as HTTP/1.0 without an error.
  refused('RTSP/1.0', signed('abc').replace('HTTP/1.1', 'RTSP/1.0')),
  refused('HTTP/1.0 without Host', 'GET /open HTTP/1.0\r\n\r\n'),
];

export const FRAMING: readonly WireCase[] = [...LINES, ...CHUNKS, ...OPEN_BODIES, ...TRAILERS, ...VERSIONS];
