import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { plainText } from '../../../src/base/printable.ts';
import { createLog, type LogLevel, textLine } from '../../../src/log/log.ts';
import { LogOutput } from '../../../src/log/output.ts';
import { RequestLog, type RequestLogMode } from '../../../src/log/request-log.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { haveTools, mustRun } from '../../support/machine/tools.ts';
import { accepted, hint, NOW, refused } from '../fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

function logTo(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const log = createLog(level, (line) => lines.push(line));
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

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

test('no text of a client controls the terminal or begins a line of its own', () => {
  const evil = '\u001b[2J\u202e\r\nfake\u009b';
  const request = { msg: 'request', path: evil, client: evil, method: evil, status: 1 };
  const shown = text({ ...request, causes: [evil], hint: `a ${evil}` });
  expect(shown.replaceAll('\n    ', '').slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(shown).toContain('\\u001b[2J\\u202e\\u000d\\u000afake\\u009b');
});

// --- requests

function requestLog(mode: RequestLogMode, level: LogLevel = 'info') {
  const { log, lines, parsed } = logTo(level);
  return Object.assign(new RequestLog(log, mode), { lines, parsed });
}

test('a line has the documented fields and no others', () => {
  const log = requestLog('all');
  log.record(accepted({ traceId: '0af7651916cd43dd8448eb211c80319c' }));
  expect(log.lines[0]).toBe(
    '{"time":"2026-11-24T12:00:00.000Z","level":"info","msg":"request","route":"/notify","method":"POST",' +
      '"path":"/notify","status":200,"decision":"accepted","reason":"none","fate":"taken","upstream_status":200,"client":"192.0.2.7",' +
      '"secret":"current","body_bytes":512,"duration_ms":12.346,"upstream_ms":10,"trace_id":"0af7651916cd43dd8448eb211c80319c"}\n',
  );
});

const unanswered = { upstreamStatus: 0, upstreamMs: -1 } as const;

test.each([
  ['a served request', accepted(), false],
  ['a delivery that the app answered with 5xx', accepted({ status: 502, upstreamStatus: 502 }), true],
  ['a delivery that the app answered with 4xx', accepted({ status: 404, upstreamStatus: 404 }), false],
  ['a rejected request', refused(), true],
  ['our own 502', accepted({ ...unanswered, status: 502, upstreamFailure: 'connect' }), true],
  ['a response that was cut', accepted({ upstreamFailure: 'reset' }), true],
])('mode rejected and %s', (_, record, written) => {
  const log = requestLog('rejected');
  log.record(record);
  expect(log.lines.length).toBe(written ? 1 : 0);
});

test('mode none is silent, the mode can change, and the level of the log filters too', () => {
  const log = requestLog('none');
  log.record(refused());
  expect(log.lines).toEqual([]);
  log.mode = 'all';
  log.record(accepted());
  expect(log.lines).toHaveLength(1);
  const errors = requestLog('all', 'error');
  errors.record(refused());
  errors.record(accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect' }));
  expect(errors.parsed().map((line) => line.status)).toEqual([502]);
});

test('the path is truncated at 256, has no query, and cannot break the line', () => {
  const log = requestLog('all');
  log.record(refused({ path: `/${'x'.repeat(300)}` }));
  log.record(refused({ path: '/notify?token=MARKER' }));
  log.record(refused({ path: '/a\r\n{"msg":"forged"}\u001b[2J\u009b', method: 'P\nX' }));
  const paths = log.parsed().map((line) => String(line.path));
  expect(paths[0]).toHaveLength(256);
  expect(paths[1]).toBe('/notify');
  expect(log.lines).toHaveLength(3);
  for (const line of log.lines) expect(line.slice(0, -1)).toMatch(/^[\x20-\x7e]+$/);
});

test('no text fills the log', () => {
  const long = 'x'.repeat(9999);
  const log = requestLog('all');
  log.record(refused({ method: long, path: long, header: long, hint: hint('gate-rule', long), upstreamError: long }));
  expect(log.lines[0]?.length).toBeLessThan(1600);
  const any = logTo();
  any.log.warn('it', { long });
  expect(any.lines[0]?.length).toBeLessThan(4200);
});

test('a second has at most 50 lines, then one line that counts the rest, even if the clock is set back', () => {
  const log = requestLog('rejected');
  const flood = (lines: number) => Array.from({ length: lines }, () => log.record(refused()));
  flood(1000);
  expect(log.lines).toHaveLength(50);
  vi.setSystemTime(NOW - 3_600_000);
  vi.advanceTimersByTime(1000);
  flood(1);
  expect(log.parsed().slice(50)).toMatchObject([
    { msg: 'request lines left out', level: 'warn', left_out: 950 },
    { msg: 'request' },
  ]);
  flood(59);
  log.flush();
  log.flush();
  expect(log.parsed().slice(101)).toMatchObject([{ left_out: 10 }]);
});

// The commands of docs/logs.md answer their questions: jq counts lines of the log, and prints no `null`.
const PAGE = new URL('../../../docs/logs.md', import.meta.url);

describe.skipIf(!haveTools('jq'))('the questions of docs/logs.md', () => {
  const directory = ownDirectory();
  beforeAll(async () => {
    const { log, lines } = logTo('info');
    const requests = new RequestLog(log, 'all');
    log.info('listening', { port: 8080 });
    requests.record(accepted());
    requests.record(accepted({ client: '192.0.2.8' }));
    requests.record(accepted({ status: 502, upstreamFailure: 'connect', bodySha256: '0123456789abcdef' }));
    requests.record(accepted({ fate: 'deferred', bodySha256: 'fedcba9876543210', secret: null }));
    requests.record(refused({ hint: hint('trailing-newline', 'a trailing newline') }));
    requests.record(refused({ hint: hint('trailing-newline', 'a trailing newline') }));
    requests.record(refused());
    requests.record(refused({ status: 431, reason: 'header_too_large', rule: 'head-size' }));
    requests.record(refused({ status: 400, reason: 'bad_request', rule: 'route-headers', header: 'x_a' }));
    await writeFile(join(directory, 'log'), `\n${lines.map((line) => `${line.trim()}\n`).join('')}`);
  });

  test.each([
    ['why are signatures wrong?', ['2 a trailing newline', '1 no hint']],
    ['which rule refuses what, and from where?', ['1 head-size - 192.0.2.7', '1 route-headers x_a 192.0.2.7']],
    ['which client signs with which secret?', ['2 current 192.0.2.7', '1 current 192.0.2.8']],
    [
      'which deliveries may be lost, and when?',
      [/^\S+Z \/notify 0123456789abcdef$/, ...Array<RegExp>(5).fill(/^\S+Z \/notify$/)].map((line) =>
        expect.stringMatching(line),
      ),
    ],
  ])('%s', async (question, answer) => {
    const [, commands = ''] = (await readFile(PAGE, 'utf8')).split(`# ${question}`);
    const [, command = ''] = commands.split('\n');
    expect(command).toMatch(/^jq /);
    const said = await mustRun('bash', ['-ec', command], { cwd: directory });
    const lines = said.trimEnd().split('\n');
    expect(lines.map((line) => line.trim().replaceAll(/\s+/g, ' '))).toEqual(answer);
  });
});

test('a line that must not be dropped is told to be taken only where the stream took it', async () => {
  const written: string[] = [];
  const pending: (() => void)[] = [];
  let mood: 'takes' | 'fails' | 'blocks' = 'takes';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (mood === 'fails') return done(new Error('ENOSPC'));
      if (mood === 'blocks') return void pending.push(done);
      written.push(chunk.toString());
      done();
    },
    autoDestroy: false,
  });
  const output = new LogOutput(stream, {}, 'json');
  const taken = (line: string) => new Promise<boolean>((resolve) => output.writeSurely(line, resolve));
  expect([await taken('one\n'), written]).toEqual([true, ['one\n']]);
  mood = 'blocks';
  const two = taken('two\n'); // is in the stream's hands from now on
  expect(await taken('three\n')).toBe(false);
  await vi.advanceTimersByTimeAsync(500);
  expect(await two).toBe(false);
  expect([pending.length, output.dropped]).toEqual([1, 0]);
  mood = 'fails';
  for (const done of pending) done();
  await vi.advanceTimersByTimeAsync(0);
  expect([await taken('four\n'), output.dropped]).toEqual([false, 0]);
});
