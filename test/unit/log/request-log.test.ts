import { beforeEach, expect, test, vi } from 'vitest';
import { createLog, type LogLevel } from '../../../src/log/log.ts';
import { RequestLog, type RequestLogMode } from '../../../src/log/request-log.ts';
import { accepted, NOW, refused } from '../metrics/fixtures.ts';

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
      '"path":"/notify","status":200,"decision":"accepted","reason":"none","secret":"current","body_bytes":512,' +
      '"duration_ms":12.346,"upstream_ms":10,"upstream_status":200,"client":"192.0.2.7","trace_id":"0af7651916cd43dd8448eb211c80319c"}\n',
  );
});

test('a refusal has its reason and hint at warn, and no upstream fields', () => {
  const log = requestLog('all');
  log.record(refused({ hint: 'the secret has a trailing newline' }));
  expect(log.parsed()[0]).toMatchObject({
    level: 'warn',
    decision: 'rejected',
    reason: 'signature_mismatch',
    hint: 'the secret has a trailing newline',
  });
  expect(log.parsed()[0]).not.toHaveProperty('upstream_ms');
  expect(log.parsed()[0]).not.toHaveProperty('secret');
});

test("a refusal by the gate names the rule and the header, truncated; our own failure has the system's code and the body's hash", () => {
  const log = requestLog('all');
  log.record(refused({ reason: 'bad_request', rule: 'route-headers', header: `x_${'y'.repeat(300)}` }));
  log.record(
    accepted({
      status: 502,
      upstreamFailure: 'connect',
      upstreamError: 'ECONNREFUSED',
      bodySha256: '0123456789abcdef',
    }),
  );
  const [gated, failed] = log.parsed();
  expect(gated).toMatchObject({ rule: 'route-headers', header: `x_${'y'.repeat(126)}…` });
  expect(failed).toMatchObject({
    upstream_failure: 'connect',
    upstream_error: 'ECONNREFUSED',
    body_sha256: '0123456789abcdef',
  });
  for (const name of ['upstream_error', 'body_sha256']) expect(gated).not.toHaveProperty(name);
  for (const name of ['rule', 'header']) expect(failed).not.toHaveProperty(name);
});

test.each([
  ['a served request', accepted(), false],
  ['a forwarded request', accepted({ decision: 'forwarded', secret: null }), false],
  ['a delivery that the app answered with 5xx', accepted({ status: 502, upstreamStatus: 502 }), true],
  ['a delivery that the app answered with 4xx', accepted({ status: 404, upstreamStatus: 404 }), false],
  [
    'the app’s 5xx to what nobody verified',
    accepted({ status: 500, decision: 'forwarded', secret: null, upstreamStatus: 500 }),
    false,
  ],
  ['a rejected request', refused(), true],
  ['a reported request', refused({ status: 200, decision: 'reported', upstreamStatus: 200 }), true],
  ['our own 502', accepted({ status: 502, upstreamStatus: 0, upstreamMs: -1, upstreamFailure: 'connect' }), true],
  ['our own 504', accepted({ status: 504, upstreamStatus: 0, upstreamMs: -1, upstreamFailure: 'timeout' }), true],
  ['our own 503 to an accepted request', accepted({ status: 503, upstreamStatus: 0, upstreamMs: -1 }), true],
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

test('a second has at most 50 lines, then one line that counts the rest', () => {
  const log = requestLog('rejected');
  for (let i = 0; i < 1000; i++) log.record(refused());
  expect(log.lines).toHaveLength(50);
  vi.advanceTimersByTime(1000);
  log.record(refused());
  expect(log.parsed().slice(50)).toMatchObject([
    { msg: 'request lines left out', level: 'warn', left_out: 950 },
    { msg: 'request' },
  ]);
  log.flush();
  expect(log.lines).toHaveLength(52);
});

test('flush reports the suppressed lines once when nothing follows a flood', () => {
  const log = requestLog('rejected');
  for (let i = 0; i < 60; i++) log.record(refused());
  log.flush();
  log.flush();
  expect(log.lines).toHaveLength(51);
  expect(log.parsed()[50]).toMatchObject({ left_out: 10 });
});

test('a clock that is set back does not silence the log', () => {
  const log = requestLog('rejected');
  for (let i = 0; i < 50; i++) log.record(refused());
  vi.setSystemTime(NOW - 3_600_000);
  vi.advanceTimersByTime(1000);
  log.record(refused());
  expect(log.lines).toHaveLength(51);
});
