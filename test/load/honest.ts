// Honest clients, and a kubelet. Each client sends signed deliveries one after another, on a kept connection or a new one
// each time. The kubelet requests `/livez` and `/readyz` in turn, on a new connection each time.
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { post } from '../support/load/load.ts';

export interface Tally {
  /** Milliseconds for each request with the expected response. */
  readonly times: number[];
  /** The other results, and how often each occurred. */
  readonly failures: Record<string, number>;
}

interface HonestOptions {
  readonly port: number;
  readonly clients: number;
  /** Milliseconds between two deliveries of one client, or two probes. */
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

type ProbeOptions = Pick<HonestOptions, 'pause' | 'timeout'> & { readonly adminPort: number };

/** Asks again and again until it is over; `ask` returns what is wrong with the answer, or an empty text. */
async function again(over: Promise<unknown>, pause: () => number, ask: (nth: number) => Promise<string>) {
  const tally: Tally = { times: [], failures: {} };
  let isOver = false;
  void over.then(() => {
    isOver = true;
  });
  for (let nth = 0; !isOver; nth++) {
    await sleep(pause());
    const started = performance.now();
    const failure = await ask(nth);
    if (failure === '') tally.times.push(performance.now() - started);
    else tally.failures[failure] = (tally.failures[failure] ?? 0) + 1;
  }
  return tally;
}

export async function honestUntil(over: Promise<unknown>, options: HonestOptions): Promise<Tally> {
  const { port, clients, pause, body, signature, fresh, tls, timeout } = options;
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}/notify`;
  const client = async () => {
    const settings = { keepAlive: fresh !== true, maxSockets: 1 };
    // A resumed session would save a new connection most of its handshake.
    const agent = tls ? new TlsAgent({ ...settings, maxCachedSessions: 0 }) : new Agent(settings);
    const randomly = () => pause * (0.5 + Math.random());
    const tally = await again(over, randomly, async () => {
      const headers = { 'Entrupy-Signature': signature };
      const sent = await post({ url, body, headers, agent, signal: AbortSignal.timeout(timeout) });
      // The upstream responds with the number of bytes that it received.
      return sent.status === 200 && sent.text === String(body.length)
        ? ''
        : sent.trouble || `${sent.status} ${sent.text}`;
    });
    agent.destroy();
    return tally;
  };
  const tallies = await Promise.all(Array.from({ length: clients }, client));
  const failures: Tally['failures'] = {};
  for (const [failure, count] of tallies.flatMap((tally) => Object.entries(tally.failures)))
    failures[failure] = (failures[failure] ?? 0) + count;
  return { times: tallies.flatMap(({ times }) => times), failures };
}

export function probeUntil(over: Promise<unknown>, options: ProbeOptions): Promise<Tally> {
  const { adminPort, pause, timeout } = options;
  const probe = (path: string) => {
    const once = { headers: { Connection: 'close' }, signal: AbortSignal.timeout(timeout) };
    return fetch(`http://127.0.0.1:${adminPort}${path}`, once).then(
      async (response) => {
        await response.arrayBuffer();
        return response.ok ? '' : `${path}: ${response.status}`;
      },
      (error: Error) => `${path}: ${String(error.cause ?? error)}`,
    );
  };
  return again(
    over,
    () => pause,
    (nth) => probe(nth % 2 === 0 ? '/livez' : '/readyz'),
  );
}
