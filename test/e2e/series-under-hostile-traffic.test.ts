// Hostile traffic adds no series to Prometheus.
// Fifty routes, ten secrets and a flood of random hostile requests, scraped by a real Prometheus: the first scrape
// finds every series that ever exists.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { HAS_PROMETHEUS, type Prometheus, startPrometheus } from '../support/metrics/prometheus.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { seededIntegers } from '../support/runner/seeded.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const ROUNDS = 150;
const AT_ONCE = 20;
const SERIES = '{__name__=~"entrupy_proxy_.+"}';
const secretOf = (nth: number) => `secret number ${nth}, 32 bytes or more`;

describe.skipIf(!HAS_PROMETHEUS)('hostile traffic (needs Debian’s prometheus)', () => {
  let upstream: Upstream;
  let proxy: RunningProxy;
  let prometheus: Prometheus;

  beforeAll(async () => {
    upstream = await startUpstream();
    const actions = ['verify', 'verify', 'verify', 'forward', 'reject'];
    proxy = await startProxy({
      config: (directory) => ({
        upstream: { url: upstream.url },
        secrets: [{ directory }],
        routes: Array.from({ length: 50 }, (_, nth) => ({
          path: `/hook-${nth}`,
          action: actions[nth % actions.length],
        })),
        limits: { maxBody: '2KiB', headersTimeout: '1s', bodyTimeout: '1s' },
        log: { requests: 'none' },
      }),
      secrets: Object.fromEntries(Array.from({ length: 10 }, (_, nth) => [`secret-${nth}`, secretOf(nth)])),
    });
    const target = { port: proxy.adminPort, labels: { namespace: 'shop', pod: 'a' } };
    prometheus = await startPrometheus({ job: 'hooks', targets: [target] });
  });

  afterAll(async () => {
    await prometheus?.stop();
    await proxy?.stop();
    await upstream?.close();
  });

  const numberOf = async (expr: string) => Number((await prometheus.query(expr))[0]?.value?.[1] ?? 0);

  test('the first scrape finds every series that there will be', async () => {
    await expect.poll(() => numberOf(`count(${SERIES})`), { timeout: 20_000 }).toBeGreaterThan(0);
    const first = await numberOf(`count(${SERIES})`);
    const random = randomNumbers(20261124);
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => throwAt(proxy.port, hostileRequest(random))));
    }
    const requests = await fetchTotal(proxy);
    await expect
      .poll(() => numberOf('sum(entrupy_proxy_requests_total)'), { timeout: 20_000 })
      .toBeGreaterThanOrEqual(requests);
    // All series that were ever scraped, not just the current ones.
    expect(await numberOf(`count(last_over_time(${SERIES}[1h]))`)).toBe(first);
    const reasons = await numberOf('count(count by (decision, reason) (entrupy_proxy_requests_total > 0))');
    expect(reasons, 'kinds of outcome that the flood reached').toBeGreaterThan(9);
  });
});

async function fetchTotal(proxy: RunningProxy): Promise<number> {
  const samples = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_requests_total'));
  return samples.reduce((sum, [, value]) => sum + value, 0);
}

type Random = (below: number) => number;

/** The same numbers in every run. */
function randomNumbers(seed: number): Random {
  const next = seededIntegers(seed);
  return (below) => next() % below;
}

/** Bytes as latin1. */
function hostileRequest(random: Random): string {
  const pick = <T>(...choices: readonly [T, ...T[]]): T => choices[random(choices.length)] ?? choices[0];
  const noise = (length: number) => Array.from({ length }, () => String.fromCharCode(random(256))).join('');
  const word = () => random(1e9).toString(36);
  const body = pick('', `{"event":"${word()}"}`, noise(random(300)), 'x'.repeat(3000));
  const path = pick(
    `/hook-${random(60)}`,
    `/hook-${random(50)}/`,
    `//hook-${random(50)}`,
    `/${word()}`,
    `/%6${word()}`,
    `/${noise(5)}`,
  );
  const right = sign(secretOf(random(12)), Buffer.from(body, 'latin1'));
  const signature = pick(
    `Entrupy-Signature: ${right}\r\n`,
    `Entrupy-Signature: ${right}\r\n`,
    `Entrupy-Signature: ${sign(word(), body)}\r\n`,
    `Entrupy-Signature: ${word()}:${word()}\r\n`,
    `Entrupy-Signature: SHA256:${noise(8).replaceAll(/[\r\n\0]/g, '')}\r\n`,
    `Entrupy-Signature: ${right}\r\nEntrupy_Signature: ${right}\r\n`,
    '',
  );
  const length = pick(String(body.length), String(body.length), String(body.length), word(), String(body.length + 5));
  const extra = pick(
    '',
    '',
    '',
    `X-${word()}: ${word()}\r\n`,
    `traceparent: 00-${word()}\r\n`,
    'Transfer-Encoding: chunked\r\n',
    `X-Original-URL: /${word()}\r\n`,
  );
  const method = pick('POST', 'POST', 'POST', 'GET', 'PUT', word().toUpperCase());
  return `${method} ${path}?${word()} HTTP/1.1\r\nHost: ${word()}\r\n${signature}${extra}Content-Length: ${length}\r\n\r\n${body}`;
}

/** Resolves when the connection is over: at the first byte of a response, or when none comes. */
function throwAt(port: number, bytes: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => socket.destroy());
    socket.setTimeout(2_500, () => socket.destroy());
    socket.write(Buffer.from(bytes, 'latin1'));
  });
}
