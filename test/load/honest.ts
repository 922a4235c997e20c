// Honest clients. Each sends signed deliveries one after another, on a kept connection or a new one each time, and
// records the result and the duration of every one.
import { Agent, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';

export interface Tally {
  /** Milliseconds for each request with the expected response. */
  readonly times: number[];
  /** The other results, and how often each occurred. */
  readonly failures: Map<string, number>;
}

export interface HonestOptions {
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
  /** Milliseconds after which a response counts as missing; endless unless given. */
  readonly timeout?: number;
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

function deliver(agent: Agent, options: HonestOptions, tally: Tally): Promise<void> {
  const { port, body, signature, tls, timeout } = options;
  const started = performance.now();
  return new Promise((resolve) => {
    let finished = false;
    const finish = (failure: string | null) => {
      if (finished) return; // a truncated response is an error of the request too
      finished = true;
      if (failure === null) tally.times.push(performance.now() - started);
      else tally.failures.set(failure, (tally.failures.get(failure) ?? 0) + 1);
      resolve();
    };
    const onError = (error: NodeJS.ErrnoException) => finish(error.code ?? error.message);
    const sending = (tls ? tlsRequest : request)(
      {
        agent,
        port,
        host: '127.0.0.1',
        method: 'POST',
        path: '/notify',
        headers: { 'Entrupy-Signature': signature, 'Content-Length': body.length },
        rejectUnauthorized: false,
        ...(timeout !== undefined && { signal: AbortSignal.timeout(timeout) }),
      },
      (response) => {
        let text = '';
        response.on('data', (piece) => {
          text += piece;
        });
        response.once('error', onError);
        // The upstream responds with the number of bytes that it received.
        response.once('end', () => {
          const isGood = response.statusCode === 200 && text === String(body.length);
          finish(isGood ? null : `${response.statusCode} ${text}`);
        });
      },
    );
    sending.on('error', onError);
    sending.end(body);
  });
}
