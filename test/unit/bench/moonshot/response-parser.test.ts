// The strict response parser of the study: half a response is never a whole one, and its rest never the next one's.
import { describe, expect, it } from 'vitest';
import { BrokenResponse, ResponseParser } from '../../../../bench/moonshot/response-parser.ts';

function play(wire: string, { method = 'POST', step = wire.length, ends = false } = {}) {
  const heard: string[] = [];
  let body = '';
  const parser = new ResponseParser({
    interim: (text) => void heard.push(`interim ${text}`),
    begin: ({ framing, text }) => void heard.push(`${framing} ${text}`),
    data: (piece) => {
      body += piece.toString('latin1');
    },
    end: (reusable) => void heard.push(`${body}|${reusable ? 'reusable' : 'not reusable'}`),
  });
  parser.expect(method);
  for (let at = 0; at < wire.length; at += step) parser.push(Buffer.from(wire.slice(at, at + step), 'latin1'));
  if (ends) parser.finish();
  return heard;
}

const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc';

describe.each([1, 4, 1000])('in pieces of %i bytes', (step) => {
  it.each([
    ['a length', LENGTH, ['length HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', 'abc|reusable']],
    [
      'chunks, and hop-by-hop lines go',
      'HTTP/1.1 200 OK\r\nX:  1\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      ['chunked HTTP/1.1 200 OK\r\nX:  1\r\n', 'abc|reusable'],
    ],
    ['nothing', 'HTTP/1.1 204 \r\n\r\n', ['none HTTP/1.1 204 \r\n', '|reusable']],
    [
      'an interim response before',
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${LENGTH}`,
      [
        'interim HTTP/1.1 103 Early Hints\r\nLink: x\r\n',
        'length HTTP/1.1 200 OK\r\nContent-Length: 3\r\n',
        'abc|reusable',
      ],
    ],
    [
      'an upstream of HTTP/1.0',
      LENGTH.replace('1.1', '1.0'),
      ['length HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', 'abc|not reusable'],
    ],
    [
      'a connection that closes',
      LENGTH.replace('\r\n\r\n', '\r\nConnection: X, close\r\n\r\n'),
      ['length HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', 'abc|not reusable'],
    ],
  ])('%s', (_, wire, heard) => {
    expect(play(wire, { step })).toEqual(heard);
  });
});

it('a body that lasts until the close is whole at the close', () => {
  const wire = 'HTTP/1.1 200 OK\r\n\r\nabc';
  expect(play(wire)).toEqual(['close HTTP/1.1 200 OK\r\n']);
  expect(play(wire, { ends: true })).toEqual(['close HTTP/1.1 200 OK\r\n', 'abc|not reusable']);
});

it('the answer to HEAD has no body whatever it says', () => {
  expect(play('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', { method: 'HEAD' })[1]).toBe('|reusable');
});

it.each([
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n'],
  ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a bad length', 'HTTP/1.1 200 OK\r\nContent-Length: 03\r\n\r\n'],
  ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'],
  ['an unsolicited 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['an unsolicited 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['a bad chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n'],
])('throws on %s', (_, wire) => {
  expect(() => play(wire)).toThrow(BrokenResponse);
});

it('throws on an end within a response, and on bytes behind one', () => {
  expect(() => play(LENGTH.slice(0, -1), { ends: true })).toThrow(BrokenResponse);
  expect(() => play(`${LENGTH}HTTP/1.1 200 OK\r\n\r\n`)).toThrow(BrokenResponse);
});
