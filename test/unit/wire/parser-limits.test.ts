// The limits of MessageParser: each to the exact byte or line, in one read, in two reads and byte by byte.
import { describe, expect, test } from 'vitest';
import { MAX_LINES } from '../../../src/core/header-lines.ts';
import { cut, eachByte, type ParseOptions, parse } from '../../support/http/parsed.ts';

const KIB = 1024;
const CHUNKED = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';

/** How a request ends, for every way of splitting it: one word if they agree. */
function outcome(text: string, options: ParseOptions = {}): string {
  const whole = Buffer.from(text, 'latin1');
  const ways = [[whole], cut(whole, [1, Math.floor(whole.length / 2), whole.length - 3]), eachByte(whole)];
  const found = ways.map((pieces) => {
    const { messages, state } = parse('request', pieces, options);
    return messages.length === 1 ? 'taken' : state;
  });
  return [...new Set(found)].join(' or ');
}

const headOf = (length: number) => {
  const frame = 'GET / HTTP/1.1\r\nX: \r\n\r\n';
  return frame.replace('X: ', `X: ${'a'.repeat(length - frame.length)}`);
};

describe('a head', () => {
  test.each([64, 2 * KIB, 64 * KIB, 100 * KIB])('of exactly %i bytes, and not one more', (head) => {
    expect(outcome(headOf(head), { head })).toBe('taken');
    expect(outcome(headOf(head + 1), { head })).toBe('too_large');
  });

  test('including the empty lines before it', () => {
    expect(outcome(`\r\n\r\n${headOf(96)}`, { head: 100 })).toBe('taken');
    expect(outcome(`\r\n\r\n${headOf(97)}`, { head: 100 })).toBe('too_large');
    expect(outcome('\r\n'.repeat(60), { head: 100 })).toBe('too_large');
  });

  test('not including the body after it', () => {
    const head = 'POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n';
    expect(outcome(head + 'b'.repeat(5000), { head: head.length })).toBe('taken');
    expect(outcome(`${CHUNKED}1388\r\n${'b'.repeat(5000)}\r\n0\r\n\r\n`, { head: CHUNKED.length })).toBe('taken');
  });

  test(`of ${MAX_LINES} lines, and not one more`, () => {
    const lines = (count: number) => `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(count)}\r\n`;
    expect(outcome(lines(MAX_LINES))).toBe('taken');
    for (const count of [MAX_LINES + 1, MAX_LINES + 2, 2 * MAX_LINES]) expect(outcome(lines(count))).toBe('too_large');
    expect(outcome(`GET / HTTP/1.1\r\n${'X:\r\n'.repeat(MAX_LINES + 1)}`)).toBe('too_large');
  });
});

describe('between two bytes of a body', () => {
  const MOST = 16 * KIB;
  /** The line with the next chunk's size, this many bytes long, padded by an extension or zeros. */
  const extension = (length: number) => `1;${'x'.repeat(length - 4)}\r\n`;
  const zeros = (length: number) => `${'0'.repeat(length - 3)}1\r\n`;
  const END = '\r\n0\r\n\r\n';

  test.each([
    ['extensions', extension],
    ['leading zeros', zeros],
  ])('%s of 16 KiB after the head, and not one byte more', (_, line) => {
    expect(outcome(`${CHUNKED}${line(MOST)}a${END}`)).toBe('taken');
    expect(outcome(`${CHUNKED}${line(MOST + 1)}a${END}`)).toBe('malformed');
  });

  test.each([
    ['extensions', extension],
    ['leading zeros', zeros],
  ])('%s of 16 KiB between chunks, including the line ending before them', (_, line) => {
    const before = `${CHUNKED}1\r\na\r\n`;
    expect(outcome(`${before}${line(MOST - 2)}a\r\n${line(MOST - 2)}b${END}`)).toBe('taken');
    expect(outcome(`${before}${line(MOST - 1)}a${END}`)).toBe('malformed');
  });

  test('extensions of the last chunk and trailers together', () => {
    const frame = '0;\r\nX: \r\n\r\n';
    const last = (length: number) =>
      frame.replace('0;', `0;${'x'.repeat(100)}`).replace('X: ', `X: ${'a'.repeat(length - frame.length - 100)}`);
    expect(outcome(`${CHUNKED}${last(MOST)}`)).toBe('taken');
    expect(outcome(`${CHUNKED}${last(MOST + 1)}`)).toBe('malformed');
  });

  test('a body of any length in one-byte chunks', () => {
    expect(outcome(`${CHUNKED}${'1\r\na\r\n'.repeat(30 * KIB)}0\r\n\r\n`)).toBe('taken');
  });
});

describe('trailers', () => {
  const trailers = (count: number) => `${CHUNKED}1\r\na\r\n0\r\n${'X: y\r\n'.repeat(count)}\r\n`;

  test(`of ${MAX_LINES} lines, and not one more`, () => {
    expect(outcome(trailers(MAX_LINES))).toBe('taken');
    for (const count of [MAX_LINES + 1, MAX_LINES + 2, 2 * MAX_LINES])
      expect(outcome(trailers(count))).toBe('malformed');
  });

  test('are counted separately from the lines of the head', () => {
    const head = `POST / HTTP/1.1\r\n${'X: y\r\n'.repeat(MAX_LINES - 1)}Transfer-Encoding: chunked\r\n\r\n`;
    expect(outcome(`${head}0\r\n${'X: y\r\n'.repeat(MAX_LINES)}\r\n`)).toBe('taken');
  });
});
