// Honest clients: each sends signed deliveries one after the other on a connection that it keeps, or on a new one each time,
// and notes what happened to every one of them and how long it took.
import { Agent, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';

export interface Tally {
  /** Milliseconds, of each request that was answered as it should be. */
  readonly times: number[];
  /** What the others got, and how often. */
  readonly failures: Map<string, number>;
}

export interface HonestOptions {
  readonly port: number;
  readonly clients: number;
  /** Milliseconds between two deliveries of a client. */
  readonly pause: number;
  readonly body: string;
  readonly signature: string;
  /** A new connection for each delivery. */
  readonly fresh?: true;
  /** Over TLS, with whatever certificate it is shown. */
  readonly tls?: true;
  /** Milliseconds after which an answer counts as missing; endless unless given. */
  readonly timeout?: number;
}

export async function honestFor(milliseconds: number, options: HonestOptions): Promise<Tally> {
  const tally: Tally = { times: [], failures: new Map() };
  const until = performance.now() + milliseconds;
  await Promise.all(
    Array.from({ length: options.clients }, async () => {
      const settings = { keepAlive: options.fresh !== true, maxSockets: 1 };
      // A session taken up again would spare a new connection the greater part of its handshake.
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

/** The share answered as they should be, 0 to 1. */
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
      if (finished) return; // an answer that breaks off is an error of the request, too
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
        // The upstream answers with the number of bytes that it got.
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
