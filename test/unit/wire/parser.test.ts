// MessageParser: its result does not depend on how the bytes were split, and it never consumes a byte of the next message.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageParser } from '../../../src/wire/parser.ts';
import { cut, eachByte, parse, readOn } from '../../support/http/parsed.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const post = (lines: string, body = '') => `POST /notify?a=b HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);

const REQUESTS: readonly string[] = [
  post('Content-Length: 3\r\n', 'abc'),
  `\r\n\r\n${post('X-A: \t b \xa0\xff\t \r\nX-B:\r\nx-a: \t\r\n')}`,
  chunked('3;a="b";c\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\nX-Sum: \t1 \t\r\nX-B:\r\n\r\n'),
  chunked('0\r\n\r\n'),
  post('Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n', '1\r\nx\r\n0\r\n\r\n'),
  'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  'DESCRIBE /a RTSP/1.0\r\nConnection: keep-alive\r\n\r\n',
];
const RESPONSES: readonly string[] = [
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204\r\nX-A: \t\r\n\r\n',
  'HTTP/1.1 200 All \xe4\r\nContent-Length: 3\r\n\r\nabc',
  'HTTP/1.1 404 \r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: 1 \r\n\r\n',
];

describe('the way bytes are split', () => {
  test('makes no difference to requests or to their ends', () => {
    const whole = bytes(REQUESTS.join(''));
    const expected = parse('request', [whole]);
    expect(expected.messages.map(({ end }) => end)).toEqual(ends(REQUESTS));
    expect(expected.state).toBe('head');
    expect(parse('request', eachByte(whole))).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (places) => {
        expect(parse('request', cut(whole, places))).toEqual(expected);
      }),
    );
  });

  test('makes no difference to responses', () => {
    const whole = bytes(RESPONSES.join(''));
    const expected = parse('response', [whole]);
    expect(expected.messages.map(({ status }) => status)).toEqual([100, 103, 204, 200, 404]);
    expect(parse('response', eachByte(whole))).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (places) => {
        expect(parse('response', cut(whole, places))).toEqual(expected);
      }),
    );
  });
});

describe('its result', () => {
  test('a head: order, spelling and duplicates kept, one character a byte, no outer whitespace', () => {
    const [, second] = parse('request', [bytes(REQUESTS.slice(0, 2).join(''))]).messages;
    expect(second).toMatchObject({ method: 'POST', target: '/notify?a=b', version: '1.1', framing: 'none' });
    expect(second?.lines).toEqual(['Host', 'a', 'X-A', 'b \xa0\xff', 'X-B', '', 'x-a', '']);
  });

  test('a body without chunk framing, and trailers separate from the lines', () => {
    const [message] = parse('request', [bytes(REQUESTS[2] ?? '')]).messages;
    expect(message).toMatchObject({ framing: 'chunked', body: 'abc0123456789', trailers: ['X-Sum', '1', 'X-B', ''] });
    expect(message?.lines).toEqual(['Host', 'a', 'Transfer-Encoding', 'chunked']);
  });

  test('one piece for each read, however many chunks it holds', () => {
    const parser = new MessageParser('request', 1024);
    const wire = bytes(chunked(`${'1\r\na\r\n'.repeat(500)}3\r\nbcd\r\n0\r\n\r\n`));
    const found: string[] = [];
    const at = readOn(parser, wire, (piece) => found.push(piece.toString()));
    // Two reads: the first one ends at the limit of the head.
    expect([found.length, found.join(''), parser.pieces]).toEqual([2, `${'a'.repeat(500)}bcd`, 501]);
    expect(at).toBe(wire.length);
    parser.free();
  });

  test('no byte after the end of a message is consumed or changed', () => {
    const parser = new MessageParser('request', 1024);
    for (const first of REQUESTS.slice(0, 5)) {
      const next = 'GET /next HTTP/1.1\r\nHost: b\r\n\r\n';
      const wire = bytes(first + next);
      const at = readOn(parser, wire);
      expect([parser.state, at, parser.read(wire, at)]).toEqual(['ended', first.length, first.length]);
      expect(wire.toString('latin1', at)).toBe(next);
      parser.next();
    }
    parser.free();
  });
});

describe('its states', () => {
  test('`next` leaves no trace of the last message, whether it was complete or refused', () => {
    for (const last of [
      REQUESTS[2] ?? '',
      post('X-A: b\r\n c\r\n'),
      chunked('3\r\nabcd'),
      chunked('0\r\nTransfer-Encoding:\r\n\r\n'),
      `GET /${'a'.repeat(2000)}`,
    ]) {
      const parser = new MessageParser('request', 1024);
      readOn(parser, bytes(last));
      parser.next();
      expect([parser.hasHead, parser.piece, parser.pieces]).toEqual([false, null, 0]);
      expect(parser).toMatchObject({
        state: 'head',
        failure: null,
        method: '',
        target: '',
        version: '',
        framing: 'none',
      });
      readOn(parser, bytes('GET / HTTP/1.1\r\n\r\n'));
      expect(parser).toMatchObject({ state: 'ended', method: 'GET', target: '/', lines: [], trailers: [], pieces: 0 });
      expect(parser.keepAlive).toBe(true);
      parser.free();
    }
  });

  test('`hasHead` is true from the last byte of the head on', () => {
    const parser = new MessageParser('request', 1024);
    expect(parser.hasHead).toBe(false);
    for (const part of ['\r\n', 'POST / HTTP/1.1\r\nContent-Length: 2\r\n\r']) {
      readOn(parser, bytes(part));
      expect([parser.hasHead, parser.state]).toEqual([false, 'head']);
    }
    readOn(parser, bytes('\n'));
    expect([parser.hasHead, parser.state]).toEqual([true, 'body']);
    readOn(parser, bytes('ab'));
    expect([parser.hasHead, parser.state]).toEqual([true, 'ended']);
    parser.free();
  });

  test('`hasHead` tells an error in the head from one in the body', () => {
    expect(parse('request', [bytes(post('X : y\r\n'))])).toMatchObject({ state: 'malformed', partial: null });
    expect(parse('request', [bytes(post('X: y\r\n'.repeat(100)))])).toMatchObject({
      state: 'too_large',
      partial: null,
    });
    const { state, partial } = parse('request', [bytes(chunked('1\r\nab'))]);
    expect([state, partial?.target, partial?.body]).toEqual(['malformed', '/notify?a=b', 'a']);
  });

  test('chunks after CONNECT are not read, so no message follows them', () => {
    const connect = 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n';
    const hidden = '1\r\na\r\n0\r\n\r\n';
    const { messages, state } = parse('request', [bytes(`${connect}Transfer-Encoding: chunked\r\n\r\n${hidden}`)]);
    expect([messages.length, state]).toEqual([1, 'over']);
    expect(parse('request', [bytes(`${connect}\r\n${post('')}`)]).messages.map(({ method }) => method)).toEqual([
      'CONNECT',
      'POST',
    ]);
  });
});

describe('parsers in turn', () => {
  test('each keeps its own parts, however their bytes come interleaved', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(120), { maxLength: 8 }), fc.array(fc.nat(120), { maxLength: 8 }), (one, other) => {
        const texts = [REQUESTS[0] ?? '', post('X-Other: 1\r\nContent-Length: 2\r\n', 'ab')];
        const parsers = texts.map(() => new MessageParser('request', 1024));
        const pieces = texts.map((text, at) => cut(bytes(text), at === 0 ? one : other));
        for (let at = 0; pieces.some((own) => at < own.length); at++)
          for (const [index, parser] of parsers.entries()) readOn(parser, pieces[index]?.[at] ?? Buffer.alloc(0));
        expect(parsers.map(({ lines }) => lines)).toEqual([
          ['Host', 'a', 'Content-Length', '3'],
          ['Host', 'a', 'X-Other', '1', 'Content-Length', '2'],
        ]);
        for (const parser of parsers) parser.free();
      }),
    );
  });

  test('parts of a run that threw do not become the next message', () => {
    const broken = new MessageParser('request', 1024);
    broken.headComplete = () => {
      throw new Error('out of memory');
    };
    expect(() => broken.read(bytes(post('X-Theirs: 1\r\n')), 0)).toThrow('out of memory');
    const next = new MessageParser('request', 1024);
    readOn(next, bytes(post('X-Ours: 1\r\n')));
    expect([next.target, next.lines]).toEqual(['/notify?a=b', ['Host', 'a', 'X-Ours', '1']]);
    for (const parser of [broken, next]) parser.free();
  });
});

function ends(messages: readonly string[]): number[] {
  return messages.map((_, index) => messages.slice(0, index + 1).join('').length);
}
