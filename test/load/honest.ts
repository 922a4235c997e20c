// Honest clients, and a kubelet. Each client sends signed deliveries one after another, on a kept connection or a new one
// each time, and records the result and the duration of every one. The kubelet requests `/livez` and `/readyz` in turn, on a
// new connection each time.
import { Agent, request } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { post } from '../support/load/load.ts';

export interface Tally {
  /** Milliseconds for each request with the expected response. */
  readonly times: number[];
  /** The other results, and how often each occurred. */
  readonly failures: Map<string, number>;
}

interface HonestOptions {
  readonly port: number;
  readonly clients: number;
  /** Milliseconds between two deliveries of one client. */
  readonly pause: number;
  readonly body: string;
  readonly signature: string;
  /** A new connection for each delivery. */
  readonly fresh?: true;
  /** Over TLS, accepting any certificate. */
  readonly tls?: true;
  /** Milliseconds after which a response counts as missing. */
  readonly timeout: number;
}

export async function honestFor(milliseconds: number, options: HonestOptions): Promise<Tally> {
  const tally: Tally = { times: [], failures: new Map() };
  const until = performance.now() + milliseconds;
  await Promise.all(
    Array.from({ length: options.clients }, async () => {
      const settings = { keepAlive: options.fresh !== true, maxSockets: 1 };
      // A resumed session would save a new connection most of its handshake.
      const agent = options.tls ? new TlsAgent({ ...settings, maxCachedSessions: 0 }) : new Agent(settings);
      while (performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, options.pause * (0.5 + Math.random())));
        await deliver(agent, options, tally);
      }
      agent.destroy();
    }),
  );
  return tally;
}

/** The share of requests with the expected response, 0 to 1. */
export function successRate({ times, failures }: Tally): number {
  const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
  return times.length / (times.length + failed || 1);
}

export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function deliver(agent: Agent, options: HonestOptions, tally: Tally): Promise<void> {
  const { port, body, signature, tls, timeout } = options;
  const started = performance.now();
  const { status, trouble, text } = await post({
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}/notify`,
    body,
    headers: { 'Entrupy-Signature': signature },
    agent,
    signal: AbortSignal.timeout(timeout),
  });
  // The upstream responds with the number of bytes that it received.
  const isGood = status === 200 && text === String(body.length);
  const failure = trouble || `${status} ${text}`;
  if (isGood) tally.times.push(performance.now() - started);
  else tally.failures.set(failure, (tally.failures.get(failure) ?? 0) + 1);
}

interface ProbeOptions {
  readonly adminPort: number;
  /** Milliseconds between two probes. */
  readonly pause: number;
  /** Milliseconds after which a response counts as missing. */
  readonly timeout: number;
}

export async function probeFor(milliseconds: number, options: ProbeOptions): Promise<Tally> {
  const tally: Tally = { times: [], failures: new Map() };
  const until = performance.now() + milliseconds;
  for (let nth = 0; performance.now() < until; nth++) {
    await new Promise((resolve) => setTimeout(resolve, options.pause));
    const path = nth % 2 === 0 ? '/livez' : '/readyz';
    const started = performance.now();
    const answer = `${path}: ${await probe(options, path)}`;
    if (answer === `${path}: 200`) tally.times.push(performance.now() - started);
    else tally.failures.set(answer, (tally.failures.get(answer) ?? 0) + 1);
  }
  return tally;
}

/** The status or an error code. Never rejects. */
function probe({ adminPort, timeout }: ProbeOptions, path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message);
    const signal = AbortSignal.timeout(timeout);
    const asking = request({ host: '127.0.0.1', port: adminPort, path, agent: false, signal }, (response) => {
      response.on('error', fail);
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    asking.on('error', fail).end();
  });
}
