// How MessageParser finds the end of a response (RFC 9112 6.3): one row for each case, and the result when the sender
// closes.
import { expect, test } from 'vitest';
import { type Framing, MessageParser } from '../../../src/wire/parser.ts';
import { cut, eachByte, parse, readOn } from '../../support/http/parsed.ts';

interface Head {
  readonly status?: string;
  readonly lines?: readonly string[];
  /** The method of the request. */
  readonly to?: string;
}
/** `rest`: the bytes after the head. `body`: null if the response does not end with these bytes. */
type Row = readonly [
  name: string,
  head: Head,
  rest: string,
  framing: Framing,
  body: string | null,
  keepAlive?: 'closes',
];

const LENGTH = 'Content-Length: 3';
const CHUNKED = 'Transfer-Encoding: chunked';
const CODED = '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n';
const OLD = 'HTTP/1.0 200';
const lines = (...all: string[]): Head => ({ lines: all });
const coding = (value: string) => lines(`Transfer-Encoding: ${value}`);
const head = (...all: string[]): Head => ({ to: 'HEAD', lines: all });

const ROWS: readonly Row[] = [
  ['a length', lines(LENGTH), 'abc', 'length', 'abc'],
  ['a length with leading zeros', lines('Content-Length: 003'), 'abc', 'length', 'abc'],
  ['a length that is not octal', lines('Content-Length: 010'), 'abcdefghij', 'length', 'abcdefghij'],
  ['a length of 0', lines('Content-Length: 0'), '', 'none', ''],
  ['a length with a short body', lines(LENGTH), 'ab', 'length', null],
  ...['9007199254740992', '18446744073709551615'].map(
    (length): Row => [`an impossible length of ${length}`, lines(`Content-Length: ${length}`), 'abc', 'length', null],
  ),
  ['chunks', lines(CHUNKED), CODED, 'chunked', 'abc'],
  ['chunks without the last one', lines(CHUNKED), '3\r\nabc\r\n', 'chunked', null],
  ['chunks over HTTP/1.0', { status: OLD, lines: [CHUNKED, 'Connection: keep-alive'] }, CODED, 'chunked', 'abc'],
  ['a coding and chunks', coding('gzip, chunked'), CODED, 'chunked', 'abc'],
  ['a coding and chunks on two lines', lines('Transfer-Encoding: gzip', CHUNKED), CODED, 'chunked', 'abc'],
  ['a coding without chunks', coding('gzip'), CODED, 'close', null],
  ['a coding after chunks', coding('chunked, gzip'), CODED, 'close', null],
  ['neither', {}, 'abc', 'close', null],
  ...['HTTP/1.1 100', 'HTTP/1.1 101', 'HTTP/1.1 103', 'HTTP/1.1 199', 'HTTP/1.1 204', 'HTTP/1.1 304'].flatMap(
    (status): Row[] => [
      [`${status} with a length`, { status, lines: [LENGTH] }, '', 'none', ''],
      [`${status} with chunks`, { status, lines: [CHUNKED] }, '', 'none', ''],
      [`${status} with neither`, { status }, '', 'none', ''],
    ],
  ),
  ['205, which may have a body', { status: 'HTTP/1.1 205', lines: [LENGTH] }, 'abc', 'length', 'abc'],
  ['HEAD with a length', head(LENGTH), '', 'none', ''],
  ['HEAD with chunks', head(CHUNKED), '', 'none', ''],
  ['HEAD with a coding', head('Transfer-Encoding: gzip'), '', 'none', ''],
  ['HEAD with neither', head(), '', 'none', ''],
  ['HEAD in lower case, which is another method', { to: 'head', lines: [LENGTH] }, 'abc', 'length', 'abc'],
  ['HEAD with close', head(LENGTH, 'Connection: close'), '', 'none', '', 'closes'],
  ['a length and close', lines(LENGTH, 'Connection: close'), 'abc', 'length', 'abc', 'closes'],
  ['a length over HTTP/1.0', { status: OLD, lines: [LENGTH] }, 'abc', 'length', 'abc', 'closes'],
  ['close in the trailers', lines(CHUNKED), '0\r\nConnection: close\r\n\r\n', 'chunked', '', 'closes'],
];

/** Bytes after a response that has ended: not part of it. */
const NEXT = 'HTTP/1.1 299 next\r\nContent-Length: 0\r\n\r\n';

const headOf = ({ status = 'HTTP/1.1 200', lines = [] }: Head) => [`${status} reason`, ...lines, '', ''].join('\r\n');

test.for(ROWS)('%s', ([, sent, rest, framing, body, end]) => {
  const head = headOf(sent);
  const whole = Buffer.from(head + rest + (body === null ? '' : NEXT), 'latin1');
  for (const pieces of [[whole], eachByte(whole), cut(whole, [head.length])]) {
    const { messages, partial } = parse('response', pieces, { answers: [sent.to ?? 'GET', 'GET'] });
    if (body === null) {
      expect([messages, partial?.framing]).toEqual([[], framing]);
      continue;
    }
    const keepAlive = end !== 'closes';
    expect(messages[0]).toMatchObject({ framing, body, keepAlive, end: head.length + rest.length });
    expect(messages.slice(1).map(({ status }) => status)).toEqual(keepAlive ? [299] : []);
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

// How a connection that is cut ends its response: test/integration/misbehaving-upstreams.test.ts.
test.each([
  ['a length without a body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', false],
  ['a body up to the close', 'HTTP/1.1 200 OK\r\n\r\nabc', true],
])('at the end of the connection %s is whole or not', (_, text, whole) => {
  const parser = new MessageParser('response', 1024);
  readOn(parser, Buffer.from(text));
  expect([parser.finish(), parser.state === 'ended']).toEqual([whole, whole]);
  parser.free();
});
