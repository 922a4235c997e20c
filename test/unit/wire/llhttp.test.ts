// undici's llhttp has traps: each has a test here, and so has what malformed input it accepts. An update that moves what
// src/wire/llhttp.ts needs fails here, too.
import { describe, expect, test } from 'vitest';
import { Llhttp, type RunRecorder } from '../../../src/wire/llhttp.ts';
import { MessageParser } from '../../../src/wire/parser.ts';
import { eachByte, parse } from '../../support/http/parsed.ts';

const GET = 'GET /next HTTP/1.1\r\n\r\n';

const read = (type: 'request' | 'response', text: string, limits = {}) =>
  parse(type, [Buffer.from(text, 'latin1')], limits);
const targets = (text: string) => read('request', text).messages.map(({ target }) => target);

/** Records nothing. */
const SILENT: RunRecorder = {
  headComplete: () => 'none',
  bodyBegins: () => {},
  body: () => 'go on',
  messageComplete: () => {},
};

describe('the end of a message', () => {
  test('the next message is read after an upgrade that is not taken, after CONNECT and after a 101', () => {
    const upgrade = 'GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc';
    expect(targets(upgrade + GET)).toEqual(['/a', '/next']);
    expect(targets(`CONNECT a:1 HTTP/1.1\r\n\r\n${GET}`)).toEqual(['a:1', '/next']);
    const { messages } = read('response', `HTTP/1.1 101 Odd\r\n\r\nHTTP/1.1 204\r\n\r\n`);
    expect(messages.map(({ status, end }) => [status, end])).toEqual([
      [101, 20],
      [204, 36],
    ]);
  });

  test.each(['close\t', 'close \t', 'close\t, x', 'x,\tClose \t,y'])(
    '`Connection: %s` is heard, which llhttp is deaf to',
    (value) => {
      expect(targets(`GET /a HTTP/1.1\r\nConnection:${value}\r\n\r\n${GET}`)).toEqual(['/a']);
      const trailer = `POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection:${value}\r\n\r\n${GET}`;
      expect(targets(trailer)).toEqual(['/a']);
    },
  );
});

const MANY = 40_000;

test.each([
  ['whitespace before a target', `GET${' '.repeat(MANY)}`],
  ['whitespace after a target', `GET /${' '.repeat(MANY)}`],
  ['whitespace before a value', `GET / HTTP/1.1\r\nX:${' '.repeat(MANY)}`],
])('%s, which no callback reports, is counted', (_, text) => {
  expect(read('request', text, { head: 16 * 1024 }).state).toMatch(/^(?:too_large|malformed)$/);
});

describe('what llhttp lets through', () => {
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
        const trailer = `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${line}\r\n\r\n`;
        const found = [
          read('request', `POST / HTTP/1.1\r\n${head}0\r\n\r\n`),
          read('request', trailer),
          read('response', `HTTP/1.1 200 OK\r\n${head}0\r\n\r\n`),
        ];
        for (const { state, messages } of found) expect([state, messages]).toEqual(['malformed', []]);
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
});
