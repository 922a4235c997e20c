// A kubelet: requests `/livez` and `/readyz` in turn, on a new connection each time, and records the responses.
import { request } from 'node:http';
import type { Tally } from './honest.ts';

export interface ProbeOptions {
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
