import { expect, test, vi } from 'vitest';
import { plainText } from '../../../src/base/printable.ts';
import { createLog, type LogLevel } from '../../../src/log/log.ts';
import { textLine } from '../../../src/log/output.ts';
import { NOW } from '../metrics/fixtures.ts';

vi.useFakeTimers({ now: NOW });

function logTo(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const log = createLog(level, (line) => lines.push(line));
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('an event is one JSON line: time, level, msg, then its fields', () => {
  const { log, lines } = logTo();
  log.warn('reload failed', { file: 'a.yaml', count: 2 });
  expect(lines).toEqual([
    '{"time":"2026-11-24T12:00:00.000Z","level":"warn","msg":"reload failed","file":"a.yaml","count":2}\n',
  ]);
});

test('lines below the level are left out, and the level can change', () => {
  const { log, parsed } = logTo('warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  log.level = 'error';
  log.warn('e');
  log.level = 'debug';
  log.debug('f');
  expect(parsed().map((line) => line.msg)).toEqual(['c', 'd', 'f']);
});

test('values of any type are written, and none throws', () => {
  const { log, parsed } = logTo();
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const times = { date: new Date(NOW), invalid: new Date(Number.NaN) };
  log.info('odd', { symbol: Symbol('s'), run: () => 1, absent: undefined, nan: Number.NaN, ...times });
  expect(parsed()[0]).toMatchObject({ msg: 'odd', nan: null, date: '2026-11-24T12:00:00.000Z', invalid: null });
  const thrower = Object.defineProperty({}, 'a', { enumerable: true, get: () => JSON.parse('{') });
  for (const bad of [{ cyclic }, { big: 10n }, thrower, { json: { toJSON: () => JSON.parse('{') } }]) {
    log.info('bad', bad);
    expect(parsed().at(-1)).toMatchObject({ msg: 'bad', fields: '[not serializable]' });
  }
});

test('an error shows its message, code and cause', () => {
  const { log, parsed } = logTo();
  const cause = new Error('why');
  log.error('broke', { error: Object.assign(new Error('no', { cause }), { code: 'ENOENT' }) });
  const shown = { name: 'Error', message: 'no', code: 'ENOENT', cause: { name: 'Error', message: 'why' } };
  expect(parsed()[0]?.error).toEqual(shown);
});

test('bytes are never written: they may be a body or a secret', () => {
  const { log, lines } = logTo();
  log.info('bytes', { body: Buffer.from('MARKER'), deep: [{ view: new Uint8Array(9) }], raw: new ArrayBuffer(3) });
  expect(lines.join('')).not.toMatch(/MARKER|77,65/);
  const sizes = { body: '[6 bytes]', deep: [{ view: '[9 bytes]' }], raw: '[3 bytes]' };
  expect(JSON.parse(lines[0] ?? '')).toMatchObject(sizes);
});

test('a field cannot replace time, level or msg', () => {
  const { log, parsed } = logTo();
  log.info('real', { msg: 'forged', level: 'debug' });
  expect(parsed()[0]).toMatchObject({ msg: 'real', level: 'info' });
});

test('line breaks, terminal control characters and bidirectional marks are escaped in msg, names and values', () => {
  const { log, lines } = logTo();
  const hostile = 'a\n\u001b[31m\u009b31m\u2028\u202eb';
  log.info(hostile, { [hostile]: hostile });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.slice(0, -1)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: hostile, [hostile]: hostile });
});

/** A line for people. */
const text = (fields: object) =>
  textLine(`${JSON.stringify({ time: '2026-11-24T12:00:00.123Z', level: 'warn', msg: 'it', ...fields })}\n`, plainText);

test('an event is one line; texts with spaces and items of lists stand below it', () => {
  const shown = text({ port: 8080, on: true, problem: 'no such file', causes: ['a', 'b c'], x: { y: null } });
  const below = '    problem: no such file\n    causes: a\n    causes: b c\n';
  expect(shown).toBe(`2026-11-24 12:00:00 warn  it  port=8080 on=true x={"y":null}\n${below}`);
});

test('a request begins with its line and its outcome', () => {
  const request = { msg: 'request', route: '/notify', method: 'POST', path: '/notify', status: 401 };
  expect(text({ ...request, decision: 'rejected', reason: 'missing_signature', client: '::1' })).toBe(
    '2026-11-24 12:00:00 warn  401 POST /notify: rejected, missing_signature  route=/notify client=::1\n',
  );
  expect(text({ ...request, status: 200, decision: 'forwarded', reason: 'none' })).toContain(
    '200 POST /notify: forwarded',
  );
});

test('no text of a client controls the terminal or begins a line of its own', () => {
  const evil = '\u001b[2J\u202e\r\nfake\u009b';
  const request = { msg: 'request', path: evil, client: evil, method: evil, status: 1 };
  const shown = text({ ...request, causes: [evil], hint: `a ${evil}` });
  expect(shown.replaceAll('\n    ', '').slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(shown).toContain('\\u001b[2J\\u202e\\u000d\\u000afake\\u009b');
});
