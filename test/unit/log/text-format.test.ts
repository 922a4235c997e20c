import { expect, test } from 'vitest';
import { plainText } from '../../../src/base/colour.ts';
import { textLine } from '../../../src/log/text-format.ts';

const line = (fields: object) =>
  textLine(`${JSON.stringify({ time: '2026-11-24T12:00:00.123Z', level: 'warn', msg: 'it', ...fields })}\n`, plainText);

test('an event is one line; texts with spaces and items of lists stand below it', () => {
  expect(line({ port: 8080, on: true, problem: 'no such file', causes: ['a', 'b c'], x: { y: null } })).toBe(
    [
      '2026-11-24 12:00:00 warn  it  port=8080 on=true x={"y":null}',
      '    problem: no such file',
      '    causes: a',
      '    causes: b c',
      '',
    ].join('\n'),
  );
});

test('a request begins with what was asked and what became of it', () => {
  const request = { msg: 'request', route: '/notify', method: 'POST', path: '/notify', status: 401 };
  expect(line({ ...request, decision: 'rejected', reason: 'missing_signature', client: '::1' })).toBe(
    '2026-11-24 12:00:00 warn  401 POST /notify: rejected, missing_signature  route=/notify client=::1\n',
  );
  expect(line({ ...request, status: 200, decision: 'forwarded', reason: 'none' })).toContain(
    '200 POST /notify: forwarded',
  );
});

test('no text of a client controls the terminal or begins a line of its own', () => {
  const evil = '\u001b[2J\u202e\r\nfake\u009b';
  const text = line({
    msg: 'request',
    path: evil,
    client: evil,
    causes: [evil],
    method: evil,
    status: 1,
    hint: `a ${evil}`,
  });
  expect(text.replaceAll('\n    ', '').slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('\\u001b[2J\\u202e\\u000d\\u000afake\\u009b');
});
