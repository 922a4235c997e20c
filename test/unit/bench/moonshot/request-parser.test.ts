// The strict request parser of the study: what it gives out does not depend on how the bytes were cut, and it never reads on
// behind what it refused.
import { describe, expect, it } from 'vitest';
import { withoutHopByHop } from '../../../../bench/moonshot/grammar.ts';
import { read } from '../../../../bench/moonshot/oracle.ts';
import { inputs } from '../../../../bench/moonshot/oracle-inputs.ts';
import { RequestParser } from '../../../../bench/moonshot/request-parser.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const post = (lines: string, body = '') => `POST /notify HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);

describe('what it takes', () => {
  it('gives heads and bodies of pipelined requests, one after the other', () => {
    const wire =
      post('Content-Length: 3\r\n', 'abc') + chunked('2;x=y\r\nde\r\n1\r\nf\r\n0\r\nX: 1\r\n\r\n') + post('');
    const { taken, refused } = read([bytes(wire)]);
    expect(taken.map(({ body }) => body)).toEqual(['abc', 'def', '']);
    expect(refused).toBeNull();
  });

  it('takes white space about a value and nothing else from it', () => {
    const [request] = read([bytes('GET / HTTP/1.1\r\nHost:a\r\nX-A: \t b\xa0 c \t \r\n\r\n')]).taken;
    expect(request?.lines).toEqual(['Host', 'a', 'X-A', 'b\xa0 c']);
  });

  it('takes nothing behind a request that is the last', () => {
    const last = post('Connection: x, Close\r\n');
    expect(read([bytes(last + post(''))])).toMatchObject({ taken: [{ method: 'POST' }], refused: null });
    expect(read([bytes(`GET / HTTP/1.0\r\nHost: a\r\n\r\n${post('')}`)]).taken).toHaveLength(1);
  });

  it('takes the same whatever the pieces', () => {
    for (const { bytes: whole } of inputs(7, 200)) {
      const single = Array.from(whole, (_, index) => whole.subarray(index, index + 1));
      const [one, many] = [read([whole]), read(single)];
      expect(many.taken).toEqual(one.taken);
      expect(many.refused === null).toBe(one.refused === null);
    }
  });

  it('never writes over bytes that it gave out', () => {
    const parser = new RequestParser({ maxHeader: 1024, maxHeaders: 10 });
    const wire = bytes(post('Content-Length: 3\r\n', 'abc') + post('Content-Length: 3\r\n', 'xyz'));
    const given: Buffer[] = [];
    for (let at = 0; at < wire.length; at += 7) {
      parser.push(wire.subarray(at, at + 7));
      for (let step = parser.next(); step.kind !== 'more'; step = parser.next()) {
        if (step.kind === 'head') parser.acceptBody(10);
        if (step.kind === 'body') given.push(step.body);
      }
    }
    expect(given.map(String)).toEqual(['abc', 'xyz']);
  });
});

describe('what it refuses', () => {
  it.each([
    ['a bare LF', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'a byte in a head|the grammar of heads'],
    ['a control byte before the head is whole', '\x16\x03\x01', 'a byte in a head'],
    ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', 'the grammar of heads'],
    ['a space before a colon', post('X : 1\r\n'), 'the grammar of heads'],
    ['absolute-form', 'GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'the grammar of heads'],
    ['an unknown method', 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n', 'a method'],
    ['two framings', post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'), "the gate's one-framing"],
    ['a length with a zero before it', post('Content-Length: 03\r\n', 'abc'), "the gate's plain-content-length"],
    ['chunked with a tab behind it', post('Transfer-Encoding: chunked\t\r\n'), 'a coding'],
    ['a chunk size with a space', chunked('1 \r\na\r\n0\r\n\r\n'), 'a chunk'],
    ['nine digits of a chunk size', chunked('000000001\r\na\r\n0\r\n\r\n'), 'a chunk'],
    ['a chunk longer than its size', chunked('1\r\nab\r\n0\r\n\r\n'), 'a chunk'],
    ['a trailer that would close the connection', chunked('0\r\nConnection: close\r\n\r\n'), 'a chunk'],
  ])('%s', (_, wire, why) => {
    const { taken, refused } = read([bytes(wire), bytes(post(''))]);
    expect(taken).toEqual([]);
    expect(refused).toMatch(new RegExp(`^(?:${why})$`));
  });

  it('a head, its lines, a body or its chunks beyond the limits', () => {
    const outcome = (wire: string) => {
      const parser = new RequestParser({ maxHeader: 256, maxHeaders: 4 });
      parser.push(bytes(wire));
      parser.acceptBody(4);
      let step = parser.next();
      if (step.kind === 'head') step = parser.next();
      return step.kind === 'refused' ? step.reason : step.kind;
    };
    expect(outcome(post(`X: ${'a'.repeat(300)}\r\n`))).toBe('header_too_large');
    expect(outcome(`GET /${'a'.repeat(300)}`)).toBe('header_too_large');
    expect(outcome('\r\n'.repeat(200))).toBe('header_too_large');
    expect(outcome(post('X: 1\r\n'.repeat(4)))).toBe('header_too_large');
    expect(outcome(post('Content-Length: 5\r\n', 'abcde'))).toBe('body_too_large');
    expect(outcome(chunked('5\r\nabcde\r\n0\r\n\r\n'))).toBe('body_too_large');
    expect(outcome(post('Content-Length: 4\r\n', 'abcd'))).toBe('body');
  });

  it('a body in far more chunks than any network makes', () => {
    expect(read([bytes(chunked('1\r\na\r\n'.repeat(2000)))]).refused).toBe('a chunk');
  });
});

describe('the lines that go on', () => {
  it('go byte for byte, without the hop-by-hop ones', () => {
    const first = 'POST / HTTP/1.1\r\n';
    const head = `${first}X-A:1 \r\nConnection: X-B\r\nx-b: 2\r\nx-a:\t3\r\nTE: x\r\n\r\n`;
    const lines = ['X-A', '1', 'Connection', 'X-B', 'x-b', '2', 'x-a', '3', 'TE', 'x'];
    expect(withoutHopByHop(head, first.length, lines)).toBe('X-A:1 \r\nx-a:\t3\r\n');
    expect(withoutHopByHop(`${first}X-A:1\r\n\r\n`, first.length, ['X-A', '1'])).toBeNull();
  });
});
