// How MessageParser finds the end of a response (RFC 9112 6.3): one row for each case, and the result when the sender
// closes.
import { describe, expect, test } from 'vitest';
import { type Framing, MessageParser } from '../../../src/wire/parser.ts';
import { cut, eachByte, type ParsedMessage, parse, readOn } from '../../support/http/parsed.ts';

interface Row {
  readonly name: string;
  readonly status?: string;
  readonly lines?: readonly string[];
  readonly to?: string;
  /** The bytes after the head. */
  readonly rest?: string;
  readonly framing: Framing;
  /** Null: the response does not end with these bytes. */
  readonly body: string | null;
  readonly keepAlive?: false;
}

const LENGTH = 'Content-Length: 3';
const CHUNKED = 'Transfer-Encoding: chunked';
const CODED = '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n';
const BODILESS = { framing: 'none', body: '' } as const;

const ROWS: readonly Row[] = [
  { name: 'a length', lines: [LENGTH], rest: 'abc', framing: 'length', body: 'abc' },
  {
    name: 'a length with leading zeros',
    lines: ['Content-Length: 003'],
    rest: 'abc',
    framing: 'length',
    body: 'abc',
  },
  {
    name: 'a length that is not octal',
    lines: ['Content-Length: 010'],
    rest: 'abcdefghij',
    framing: 'length',
    body: 'abcdefghij',
  },
  { name: 'a length of 0', lines: ['Content-Length: 0'], ...BODILESS },
  { name: 'a length with a short body', lines: [LENGTH], rest: 'ab', framing: 'length', body: null },
  ...['9007199254740992', '18446744073709551615'].map(
    (length): Row => ({
      name: `an impossible length of ${length}`,
      lines: [`Content-Length: ${length}`],
      rest: 'abc',
      framing: 'length',
      body: null,
    }),
  ),
  { name: 'chunks', lines: [CHUNKED], rest: CODED, framing: 'chunked', body: 'abc' },
  { name: 'chunks without the last one', lines: [CHUNKED], rest: '3\r\nabc\r\n', framing: 'chunked', body: null },
  {
    name: 'chunks over HTTP/1.0',
    status: 'HTTP/1.0 200',
    lines: [CHUNKED, 'Connection: keep-alive'],
    rest: CODED,
    framing: 'chunked',
    body: 'abc',
  },
  {
    name: 'a coding and chunks',
    lines: ['Transfer-Encoding: gzip, chunked'],
    rest: CODED,
    framing: 'chunked',
    body: 'abc',
  },
  {
    name: 'a coding and chunks on two lines',
    lines: ['Transfer-Encoding: gzip', CHUNKED],
    rest: CODED,
    framing: 'chunked',
    body: 'abc',
  },
  { name: 'a coding without chunks', lines: ['Transfer-Encoding: gzip'], rest: CODED, framing: 'close', body: null },
  {
    name: 'a coding after chunks',
    lines: ['Transfer-Encoding: chunked, gzip'],
    rest: CODED,
    framing: 'close',
    body: null,
  },
  { name: 'neither', rest: 'abc', framing: 'close', body: null },
  ...['HTTP/1.1 100', 'HTTP/1.1 101', 'HTTP/1.1 103', 'HTTP/1.1 199', 'HTTP/1.1 204', 'HTTP/1.1 304'].flatMap(
    (status): Row[] => [
      { name: `${status} with a length`, status, lines: [LENGTH], ...BODILESS },
      { name: `${status} with chunks`, status, lines: [CHUNKED], ...BODILESS },
      { name: `${status} with neither`, status, ...BODILESS },
    ],
  ),
  {
    name: '205, which may have a body',
    status: 'HTTP/1.1 205',
    lines: [LENGTH],
    rest: 'abc',
    framing: 'length',
    body: 'abc',
  },
  { name: 'HEAD with a length', to: 'HEAD', lines: [LENGTH], ...BODILESS },
  { name: 'HEAD with chunks', to: 'HEAD', lines: [CHUNKED], ...BODILESS },
  { name: 'HEAD with a coding', to: 'HEAD', lines: ['Transfer-Encoding: gzip'], ...BODILESS },
  { name: 'HEAD with neither', to: 'HEAD', ...BODILESS },
  {
    name: 'HEAD in lower case, which is another method',
    to: 'head',
    lines: [LENGTH],
    rest: 'abc',
    framing: 'length',
    body: 'abc',
  },
  { name: 'HEAD with close', to: 'HEAD', lines: [LENGTH, 'Connection: close'], ...BODILESS, keepAlive: false },
  {
    name: 'a length and close',
    lines: [LENGTH, 'Connection: close'],
    rest: 'abc',
    framing: 'length',
    body: 'abc',
    keepAlive: false,
  },
  {
    name: 'a length over HTTP/1.0',
    status: 'HTTP/1.0 200',
    lines: [LENGTH],
    rest: 'abc',
    framing: 'length',
    body: 'abc',
    keepAlive: false,
  },
  {
    name: 'close in the trailers',
    lines: [CHUNKED],
    rest: '0\r\nConnection: close\r\n\r\n',
    framing: 'chunked',
    body: '',
    keepAlive: false,
  },
];

/** Bytes after a response that has ended: not part of it. */
const NEXT = 'HTTP/1.1 299 next\r\nContent-Length: 0\r\n\r\n';

const headOf = ({ status = 'HTTP/1.1 200', lines = [] }: Row) => [`${status} reason`, ...lines, '', ''].join('\r\n');

test.each(ROWS)('$name', (row) => {
  const length = headOf(row).length + (row.rest?.length ?? 0);
  const whole = Buffer.from(headOf(row) + (row.rest ?? '') + (row.body === null ? '' : NEXT), 'latin1');
  for (const pieces of [[whole], eachByte(whole), cut(whole, [headOf(row).length])]) {
    const { messages, partial } = parse('response', pieces, { answers: [row.to ?? 'GET', 'GET'] });
    if (row.body === null) {
      expect([messages, partial?.framing]).toEqual([[], row.framing]);
      continue;
    }
    const { framing, body, keepAlive, end } = messages[0] as ParsedMessage;
    expect([framing, body, keepAlive, end]).toEqual([row.framing, row.body, row.keepAlive ?? true, length]);
    expect(messages.slice(1).map(({ status }) => status)).toEqual(row.keepAlive === false ? [] : [299]);
  }
});

test.each([
  ['a length and chunks', [LENGTH, CHUNKED]],
  ['chunks and a length', [CHUNKED, LENGTH]],
  ['two lengths', [LENGTH, LENGTH]],
  ['a length beyond 64 bits', ['Content-Length: 18446744073709551616']],
  ['an empty length', ['Content-Length:']],
])('%s are malformed', (_, lines) => {
  const head = Buffer.from(['HTTP/1.1 200 OK', ...lines, '', 'abc'].join('\r\n'));
  expect(parse('response', [head])).toMatchObject({ state: 'malformed', messages: [] });
  expect(parse('response', eachByte(head))).toMatchObject({ state: 'malformed', messages: [] });
});

describe('the end of the connection', () => {
  test.each([
    ['no byte at all', '', false],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-', false],
    ['a head without its last byte', 'HTTP/1.1 200 OK\r\nX: y\r\n\r', false],
    ['a length with a short body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', false],
    ['a length without a body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', false],
    ['an impossible length', 'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740992\r\n\r\nab', false],
    ['a chunk cut short', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab', false],
    ['chunks without the last one', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', false],
    ['chunks without the last line ending', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r', false],
    ['a malformed head', 'HTTP/1.1 OK\r\n\r\n', false],
    ['a body up to the close', 'HTTP/1.1 200 OK\r\n\r\nabc', true],
    ['an empty body up to the close', 'HTTP/1.1 200 OK\r\n\r\n', true],
    ['a coded body up to the close', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc', true],
    ['a response that had ended', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na', true],
  ])('after %s', (_, text, whole) => {
    const parser = new MessageParser('response', { head: 1024 });
    readOn(parser, Buffer.from(text));
    expect(parser.finish()).toBe(whole);
    expect(parser.state === 'ended').toBe(whole);
    parser.free();
  });
});
