// Invariants for any input: each response is one of ours or the upstream's own, and each request that reached the
// upstream is one that the routes permit. No check asks the proxy's code.
import { expect } from 'vitest';
import { REFUSALS, STATUSES } from '../conformance/wire-case.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import type { RawResponse } from '../support/http/response-parser.ts';
import { values } from '../support/http/response-parser.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { patience } from '../support/runner/patience.ts';
import type { SeenRequest } from '../support/upstream/lenient-upstream.ts';
import { canonical } from './lax-server.ts';
import type { Configuration } from './wire-requests.ts';

/** The whole body of each possible response. */
const BODIES: typeof REFUSALS = { ...REFUSALS, 200: ['ok'] };

const LINES =
  /^(?:content-type: application\/json|content-length: \d+|connection: (?:close|keep-alive)|allow: POST|keep-alive: timeout=\d+)$/i;

/** Exactly one of the possible responses: nothing that the client sent comes back. */
export function checkAnswer({ status, lines, body, informational }: RawResponse): void {
  expect(BODIES[status], `status ${status}`).toContain(body.toString('latin1'));
  expect(lines.filter((line) => !LINES.test(line))).toEqual([]);
  for (const interim of informational) expect([interim.status, interim.lines]).toEqual([100, []]);
}

/** A request that reached the upstream: strictly well-formed, and either signed or on an open route. */
export function checkSeen(configuration: Configuration, seen: SeenRequest): void {
  const head = seen.raw.toString('latin1').split('\r\n\r\n')[0] ?? '';
  expect(head).toMatch(/^[A-Z-]+ \/[\x21-\x7e]* HTTP\/1\.1(?:\r\n[!#$%&'*+.^`|~0-9A-Za-z-]+:[^\r\n\0]*)+$/);
  expect(values(seen.lines, 'host')).toHaveLength(1);
  const framing = [...values(seen.lines, 'content-length'), ...values(seen.lines, 'transfer-encoding')];
  expect(framing.length).toBeLessThanOrEqual(1);
  expect(framing.join()).toMatch(/^(?:|chunked|0|[1-9]\d*)$/);
  const path = seen.target.replace(/\?.*/s, '');
  if (path === '/notify') {
    expect(seen.method).toBe('POST');
    expect(values(seen.lines, 'entrupy-signature')).toEqual([sign(SECRET, seen.body)]);
    return;
  }
  expect(configuration).toBe('open');
  const [folder, below] = canonical(path);
  if (folder !== 'ws') expect([path.slice(0, 6), folder, below === undefined]).toEqual(['/open/', 'open', false]);
}

/** Resolves once nothing is in flight and no client is connected; returns the metrics at that moment. */
export async function settled(proxy: RunningProxy): Promise<Map<string, number>> {
  const until = performance.now() + patience();
  for (;;) {
    const metrics = await proxy.metrics();
    const left = ['requests_in_flight', 'connections', 'buffered_bytes'].map((name) => [
      name,
      metrics.get(`entrupy_proxy_${name}`),
    ]);
    if (left.every(([, value]) => value === 0)) return metrics;
    expect(performance.now(), `left behind: ${JSON.stringify(left)}`).toBeLessThan(until);
  }
}

/** How many requests were counted, by the status of their response: the difference of two readings of the metrics. */
export function countedByStatus(before: Map<string, number>, after: Map<string, number>): Map<number, number> {
  const counted = new Map<number, number>();
  for (const [series, value] of after) {
    const reason = /^entrupy_proxy_requests_total\{.*reason="(\w+)"/.exec(series)?.[1];
    if (reason === undefined) continue;
    const status = reason === 'none' ? 200 : (STATUSES[reason] ?? 0);
    counted.set(status, (counted.get(status) ?? 0) + value - (before.get(series) ?? 0));
  }
  return counted;
}

/**
 * Statuses of bytes that never became a request: behind a request in flight they end the connection without a response.
 */
const RAW: ReadonlySet<number> = new Set([400, 408, 431, 499]);

/**
 * Checks that each response was counted once; returns what was counted and got no response. That is such bytes, a
 * client that left, or a lost response.
 */
export function unanswered(counted: Map<number, number>, answers: readonly RawResponse[]): string[] {
  const missing: string[] = [];
  for (const [status, count] of counted) {
    const answered = answers.filter((answer) => answer.status === status).length;
    const what = `${answered} answers with status ${status}, ${count} counted`;
    expect(answered, what).toBeLessThanOrEqual(count);
    if (answered < count && !RAW.has(status)) missing.push(what);
  }
  return missing;
}
