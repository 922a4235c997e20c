// Honest clients: each sends signed deliveries one after the other on a connection that it keeps, and notes what became of
// every one of them and how long it took.
import { Agent, request } from 'node:http';

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
}

export async function honestFor(milliseconds: number, options: HonestOptions): Promise<Tally> {
  const tally: Tally = { times: [], failures: new Map() };
  const until = performance.now() + milliseconds;
  await Promise.all(
    Array.from({ length: options.clients }, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
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

function deliver(agent: Agent, { port, body, signature }: HonestOptions, tally: Tally): Promise<void> {
  const started = performance.now();
  return new Promise((resolve) => {
    const fail = (why: string) => {
      tally.failures.set(why, (tally.failures.get(why) ?? 0) + 1);
      resolve();
    };
    const headers = { 'Entrupy-Signature': signature, 'Content-Length': body.length };
    const sending = request(
      { agent, port, host: '127.0.0.1', method: 'POST', path: '/notify', headers },
      (response) => {
        let text = '';
        response.on('data', (piece) => {
          text += piece;
        });
        response.once('error', (error) => fail(error.message));
        response.once('end', () => {
          // The upstream answers with the number of bytes that it got.
          if (response.statusCode !== 200 || text !== String(body.length))
            return fail(`${response.statusCode} ${text}`);
          tally.times.push(performance.now() - started);
          resolve();
        });
      },
    );
    sending.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    sending.end(body);
  });
}
