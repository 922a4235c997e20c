// MessageParser: its result, its states and its limits. That it reads any messages as Node does, however they were split, is
// tried in test/fuzz/parser.fuzz.test.ts; what a client gets of each response in test/integration/misbehaving-upstreams.test.ts.
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MAX_LINES } from '../../../src/core/header-lines.ts';
import { type Framing, MessageParser } from '../../../src/wire/parser.ts';
import { cut, eachByte, type ParseOptions, parse, readOn } from '../../support/http/parsed.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const post = (lines: string, body = '') => `POST /notify?a=b HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);

const REQUESTS: readonly string[] = [
  post('Content-Length: 3\r\n', 'abc'),
  `\r\n\r\n${post('X-A: \t b \xa0\xff\t \r\nX-B:\r\nx-a: \t\r\n')}`,
  chunked('3;a="b";c\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\nX-Sum: \t1 \t\r\nX-B:\r\n\r\n'),
  chunked('0\r\n\r\n'),
  post('Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n', '1\r\nx\r\n0\r\n\r\n'),
];

describe('its result', () => {
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

describe('a response', () => {
  const responseTo = (method: string, head: string) => {
    const parser = new MessageParser('response', 1024);
    onTestFinished(() => parser.free());
    parser.requestMethod = method;
    readOn(parser, bytes(`HTTP/1.1 ${head}\r\n\r\n`));
    return parser;
  };

  test.each<[method: string, head: string, Framing]>([
    ...['100', '101', '103', '199', '204', '304'].flatMap((status): [string, string, Framing][] =>
      ['Content-Length: 3', 'Transfer-Encoding: chunked', 'X: y'].map((line) => [
        'GET',
        `${status} a\r\n${line}`,
        'none',
      ]),
    ),
    ['HEAD', '200 a\r\nContent-Length: 3', 'none'],
    ['head', '200 a\r\nContent-Length: 3', 'length'],
    ['GET', '205 a\r\nContent-Length: 3', 'length'],
    // More than anybody can send: a close always cuts it.
    ...['9007199254740992', '18446744073709551615'].map((length): [string, string, Framing] => {
      return ['GET', `200 a\r\nContent-Length: ${length}`, 'length'];
    }),
  ])('to %s, %j, has a body by %s', (method, head, framing) => {
    const parser = responseTo(method, head);
    readOn(parser, bytes('ab'));
    expect([parser.framing, parser.state, parser.finish()]).toEqual(
      framing === 'none' ? ['none', 'ended', true] : [framing, 'body', false],
    );
  });

  test('up to the close is whole at the end of the connection', () => {
    const parser = responseTo('GET', '200 a');
    readOn(parser, bytes('abc'));
    expect([parser.framing, parser.finish(), parser.state]).toEqual(['close', true, 'ended']);
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

// --- limits: each to the exact byte or line, in one read, in two reads and byte by byte

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
  test.each([64, 2 * KIB, 64 * KIB])('of exactly %i bytes, and not one more', (head) => {
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
  ])('%s of 16 KiB after the head, or with the line ending before them between chunks, and not more', (_, line) => {
    expect(outcome(`${CHUNKED}${line(MOST)}a${END}`)).toBe('taken');
    expect(outcome(`${CHUNKED}${line(MOST + 1)}a${END}`)).toBe('malformed');
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
