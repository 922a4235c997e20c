import { beforeEach, expect, test, vi } from 'vitest';
import { createLog, type LogLevel } from '../../../src/log/log.ts';
import { RequestLog, type RequestLogMode } from '../../../src/log/request-log.ts';
import { accepted, hint, NOW, refused } from '../metrics/fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

function requestLog(mode: RequestLogMode, level: LogLevel = 'info') {
  const lines: string[] = [];
  const log = createLog(level, (line) => lines.push(line));
  const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return Object.assign(new RequestLog(log, mode), { lines, parsed });
}

test('a line has the documented fields and no others', () => {
  const log = requestLog('all');
  log.record(accepted({ traceId: '0af7651916cd43dd8448eb211c80319c' }));
  expect(log.lines[0]).toBe(
    '{"time":"2026-11-24T12:00:00.000Z","level":"info","msg":"request","route":"/notify","method":"POST",' +
      '"path":"/notify","status":200,"decision":"accepted","reason":"none","fate":"taken","secret":"current","body_bytes":512,' +
      '"duration_ms":12.346,"upstream_ms":10,"upstream_status":200,"client":"192.0.2.7","trace_id":"0af7651916cd43dd8448eb211c80319c"}\n',
  );
});

test('a refusal has its reason and hint at warn, and no upstream fields', () => {
  const log = requestLog('all');
  const text = 'the secret has a trailing newline';
  log.record(refused({ hint: hint('trailing-newline', text) }));
  const [line] = log.parsed();
  const said = { level: 'warn', decision: 'rejected', reason: 'signature_mismatch', hint: text };
  expect(line).toMatchObject({ ...said, diagnosis: 'trailing-newline' });
  for (const name of ['upstream_ms', 'secret']) expect(line).not.toHaveProperty(name);
});

test("a refusal by the gate names the rule and the header, truncated; our own failure has the system's code and the body's hash", () => {
  const log = requestLog('all');
  log.record(refused({ reason: 'bad_request', rule: 'route-headers', header: `x_${'y'.repeat(300)}` }));
  const ours = { upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED', bodySha256: '0123456789abcdef' } as const;
  log.record(accepted({ status: 502, ...ours }));
  const [gated, failed] = log.parsed();
  expect(gated).toMatchObject({ rule: 'route-headers', header: `x_${'y'.repeat(126)}…` });
  const said = { upstream_failure: 'connect', upstream_error: 'ECONNREFUSED', body_sha256: '0123456789abcdef' };
  expect(failed).toMatchObject(said);
  for (const name of ['upstream_error', 'body_sha256']) expect(gated).not.toHaveProperty(name);
  for (const name of ['rule', 'header']) expect(failed).not.toHaveProperty(name);
});

const open = { decision: 'forwarded', secret: null } as const;
const unanswered = { upstreamStatus: 0, upstreamMs: -1 } as const;

test.each([
  ['a served request', accepted(), false],
  ['a forwarded request', accepted(open), false],
  ['a delivery that the app answered with 5xx', accepted({ status: 502, upstreamStatus: 502 }), true],
  ['a delivery that the app answered with 4xx', accepted({ status: 404, upstreamStatus: 404 }), false],
  ['the app’s 5xx to what nobody verified', accepted({ ...open, status: 500, upstreamStatus: 500 }), false],
  ['a rejected request', refused(), true],
  ['a reported request', refused({ status: 200, decision: 'reported', upstreamStatus: 200 }), true],
  ['our own 502', accepted({ ...unanswered, status: 502, upstreamFailure: 'connect' }), true],
  ['our own 504', accepted({ ...unanswered, status: 504, upstreamFailure: 'timeout' }), true],
  ['our own 503 to an accepted request', accepted({ ...unanswered, status: 503 }), true],
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
