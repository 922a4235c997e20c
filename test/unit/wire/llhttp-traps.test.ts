// The rest of llhttp's traps: bytes that no callback reports, malformed input that it accepts, and its memory. `raw`
// shows a trap without src/wire around it; the others show how src/wire handles it.
import { describe, expect, test } from 'vitest';
import { Llhttp, type RunRecorder } from '../../../src/wire/llhttp.ts';
import { MessageParser } from '../../../src/wire/parser.ts';
import { eachByte, parse } from '../../support/http/parsed.ts';
import { rawLlhttp } from '../../support/http/raw-llhttp.ts';

const REQUEST = 1;
const GET = 'GET /next HTTP/1.1\r\n\r\n';

const read = (type: 'request' | 'response', text: string, limits = {}) =>
  parse(type, [Buffer.from(text, 'latin1')], limits);

/** Records nothing. */
const SILENT: RunRecorder = {
  span: () => {},
  headComplete: () => 'none',
  bodyBegins: () => {},
  body: () => 'go on',
  messageComplete: () => {},
};

describe('bytes that no callback reports', () => {
  const CHUNKED = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  const MANY = 40_000;

  test.each([
    ['chunk extensions', `${CHUNKED}1;${'x'.repeat(MANY)}`],
    ['leading zeros of a chunk size', `${CHUNKED}${'0'.repeat(MANY)}`],
    ['line endings before a head', '\r\n'.repeat(MANY / 2)],
    ['whitespace before a target', `GET${' '.repeat(MANY)}`],
    ['whitespace after a target', `GET /${' '.repeat(MANY)}`],
    ['whitespace before a value', `GET / HTTP/1.1\r\nX:${' '.repeat(MANY)}`],
  ])('%s are counted', (_, text) => {
    const { exports, called, execute } = rawLlhttp();
    expect(execute(exports.llhttp_alloc(REQUEST), text)[0]).toBe(0);
    expect(called.length).toBeLessThan(10);
    expect(read('request', text, { head: 16 * 1024 }).state).toMatch(/^(?:too_large|malformed)$/);
  });
});

describe('what llhttp lets through', () => {
  test('whitespace after a value is removed, and nothing else', () => {
    const [message] = read('request', 'GET / HTTP/1.1\r\nHost: a \t\r\nX:\xa0 b\xa0\x85 \r\nY: \t \r\n\r\n').messages;
    expect(message?.lines).toEqual(['Host', 'a', 'X', '\xa0 b\xa0\x85', 'Y', '']);
  });

  test.each(['GET / RTSP/1.0', 'DESCRIBE / RTSP/1.0', 'SOURCE / ICE/1.0', 'GET /'])(
    '%s is HTTP to llhttp, not to us',
    (line) => {
      for (const cutAt of [0, 6, line.length - 3, line.length + 1]) {
        const bytes = Buffer.from(`${line}\r\nHost: HTTP/1.1\r\n\r\n`);
        const { messages } = parse('request', [bytes.subarray(0, cutAt), bytes.subarray(cutAt)]);
        expect(messages.map(({ version }) => version)).toEqual(['unknown']);
      }
    },
  );

  test('responses: HTTP/2.0, the code 099 and control characters in the reason come through, for the upstream side to refuse', () => {
    const [message] = read('response', 'HTTP/2.0 099 a\x01b\r\nContent-Length: 1\r\n\r\nx').messages;
    expect(message).toMatchObject({ version: '2.0', status: 99, reason: 'a\x01b', body: 'x' });
    expect(read('response', 'RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n').messages[0]?.version).toBe('unknown');
  });

  test.each(['OK\r\rX: y\r\n', 'OK\r\r', '\r\r*X: y\r\n'])('a status line that does not end in CRLF: %j', (rest) => {
    const bytes = Buffer.from(`HTTP/1.1 200 ${rest}\r\n`);
    for (const pieces of [[bytes], eachByte(bytes)])
      expect(parse('response', pieces)).toEqual({ messages: [], partial: null, state: 'malformed' });
  });

  test.each(['Transfer-Encoding:', 'Transfer-Encoding: \t', 'Transfer-Encoding: chunked\r\nTransfer-Encoding:'])(
    'an empty coding is malformed: %j',
    (line) => {
      for (const more of ['', 'Content-Length: 3\r\n']) {
        const head = `${line}\r\n${more}\r\n`;
        expect(read('request', `POST / HTTP/1.1\r\n${head}0\r\n\r\n`)).toMatchObject({
          state: 'malformed',
          messages: [],
        });
        const trailer = `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${line}\r\n\r\n`;
        expect(read('request', trailer)).toMatchObject({ state: 'malformed', messages: [] });
        expect(read('response', `HTTP/1.1 200 OK\r\n${head}0\r\n\r\n`)).toMatchObject({
          state: 'malformed',
          messages: [],
        });
      }
    },
  );
});

describe('its memory', () => {
  const bytes = Buffer.from(GET);

  test('no parser runs within another’s callback, whose bytes it would overwrite', () => {
    const [outer, inner] = [new Llhttp('request'), new Llhttp('request')];
    const nested: RunRecorder = { ...SILENT, messageComplete: () => void inner.run(bytes, 0, bytes.length, SILENT) };
    expect(() => outer.run(bytes, 0, bytes.length, nested)).toThrow('llhttp is running already');
    outer.free();
    inner.free();
  });

  test('a throw in a callback reaches the caller; a reset repairs the parser, and others are unaffected', () => {
    const [broken, other] = [new Llhttp('request'), new Llhttp('request')];
    const throwing: RunRecorder = {
      ...SILENT,
      headComplete: () => {
        throw new Error('thrown by a callback');
      },
    };
    expect(() => broken.run(bytes, 0, bytes.length, throwing)).toThrow('thrown by a callback');
    expect(other.run(bytes, 0, bytes.length, SILENT)).toBe('complete');
    broken.reset();
    expect([broken.run(bytes, 0, bytes.length, SILENT), broken.consumed]).toEqual(['complete', bytes.length]);
    broken.free();
    other.free();
  });

  test('raw: `malloc` returns 0 when out of memory, and `memory.buffer` is a new object after it has grown', () => {
    const { exports } = rawLlhttp();
    expect(exports.malloc(2 ** 32 - 1)).toBe(0);
    const before = exports.memory.buffer;
    exports.malloc(4 * 1024 * 1024);
    expect([exports.memory.buffer === before, before.byteLength]).toEqual([false, 0]);
  });

  test('a message continues while the memory grows', () => {
    const parser = new MessageParser('request', 1024);
    const [first, second] = [Buffer.from('REPORT /a HTTP/1.1\r\nHo'), Buffer.from('st: b\r\n\r\n')];
    parser.read(first, 0);
    // Some 80 bytes each: more than the initial memory.
    const others = Array.from({ length: 10_000 }, () => new Llhttp('request'));
    parser.read(second, 0);
    expect(parser).toMatchObject({ state: 'ended', method: 'REPORT', target: '/a', lines: ['Host', 'b'] });
    for (const one of [...others, parser]) one.free();
  });

  test('raw: a parser that is freed twice is given to two connections', () => {
    const { exports } = rawLlhttp();
    const one = exports.llhttp_alloc(REQUEST);
    exports.llhttp_free(one);
    const other = exports.llhttp_alloc(REQUEST);
    exports.llhttp_free(one);
    expect([other, exports.llhttp_alloc(REQUEST)]).toEqual([one, one]);
  });
});
