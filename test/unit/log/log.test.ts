import { expect, test, vi } from 'vitest';
import { createLog, type LogLevel } from '../../../src/log/log.ts';
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
  log.setLevel('error');
  log.warn('e');
  log.setLevel('debug');
  log.debug('f');
  expect(parsed().map((line) => line.msg)).toEqual(['c', 'd', 'f']);
});

test('values of any type are written and none throws', () => {
  const { log, parsed } = logTo();
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  log.info('odd', {
    big: 10n,
    cyclic,
    symbol: Symbol('s'),
    run: () => 1,
    absent: undefined,
    nan: Number.NaN,
    map: new Map([['a', 1n]]),
    date: new Date(NOW),
    invalid: new Date(Number.NaN),
    get thrower(): string {
      throw new Error('getter');
    },
    json: {
      toJSON() {
        throw new Error('toJSON');
      },
    },
  });
  expect(parsed()[0]).toMatchObject({
    big: '10',
    cyclic: '[not serializable]',
    symbol: 'Symbol(s)',
    run: '[function]',
    nan: null,
    map: [['a', '1']],
    date: '2026-11-24T12:00:00.000Z',
    invalid: null,
    thrower: '[not serializable]',
    json: '[not serializable]',
  });
  expect(parsed()[0]).not.toHaveProperty('absent');
});

test('an error shows its message, code and cause, and a cyclic cause does not throw', () => {
  const { log, parsed } = logTo();
  log.error('broke', { error: Object.assign(new Error('no', { cause: new Error('why') }), { code: 'ENOENT' }) });
  expect(parsed()[0]?.error).toEqual({
    name: 'Error',
    message: 'no',
    code: 'ENOENT',
    cause: { name: 'Error', message: 'why' },
  });
  const cyclic = new Error('round');
  cyclic.cause = cyclic;
  log.error('broke', { error: cyclic });
  expect(parsed()[1]?.error).toBe('[not serializable]');
});

test('bytes are never written: they may be a body or a secret', () => {
  const { log, lines } = logTo();
  log.info('bytes', { body: Buffer.from('MARKER'), deep: [{ view: new Uint8Array(9) }], raw: new ArrayBuffer(3) });
  expect(lines.join('')).not.toMatch(/MARKER|77,65/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    body: '[6 bytes]',
    deep: [{ view: '[9 bytes]' }],
    raw: '[3 bytes]',
  });
});

test('a field cannot replace time, level or msg', () => {
  const { log, parsed } = logTo();
  log.info('real', { msg: 'forged', level: 'debug' });
  expect(parsed()[0]).toMatchObject({ msg: 'real', level: 'info', msg_: 'forged', level_: 'debug' });
});

test('line breaks, terminal control characters and bidirectional marks are escaped in msg, names and values', () => {
  const { log, lines } = logTo();
  const hostile = 'a\n\u001b[31m\u009b31m\u2028\u202eb';
  log.info(hostile, { [hostile]: hostile });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.slice(0, -1)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: hostile, [hostile]: hostile });
});
