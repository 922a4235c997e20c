// Deliveries at a steady rate, each with its own id, over as many connections as needed. It records the result of every
// one, sends nothing twice, and waits for a response as long as the test allows.
import { Pool } from 'undici';

export interface Delivery {
  readonly id: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Result {
  readonly id: string;
  readonly sent: number;
  readonly done: number;
  /** 0 if no complete response came. */
  readonly status: number;
  /** The error code when no response came. */
  readonly trouble: string;
}

interface LoadOptions {
  readonly url: string;
  /** Deliveries a second. A slow machine sends fewer: nothing queues up. */
  readonly rate: number;
  readonly connections: number;
  readonly next: (nth: number) => Delivery;
}

const TICK_MS = 5;

export function startPacedLoad({ url, rate, connections, next }: LoadOptions) {
  // A second less than any server, so no delivery is lost to a connection that was idle for too long.
  const pool = new Pool(url, {
    connections,
    pipelining: 1,
    keepAliveTimeout: 1000,
    headersTimeout: 60_000,
    bodyTimeout: 60_000,
  });
  const results: Result[] = [];
  let [begun, open] = [0, 0];
  let due = 0;
  let last = performance.now();
  let finished: (() => void) | null = null;

  const send = (delivery: Delivery) => {
    const sent = Date.now();
    let status = 0;
    open++;
    const end = (trouble: string) => {
      results.push({ id: delivery.id, sent, done: Date.now(), status: trouble === '' ? status : 0, trouble });
      if (--open === 0) finished?.();
    };
    pool.dispatch(
      { path: delivery.path, method: 'POST', headers: delivery.headers, body: delivery.body },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData() {},
        onResponseEnd: () => end(''),
        onResponseError: (_controller, error) => end((error as NodeJS.ErrnoException).code ?? error.message),
      },
    );
  };
  const timer = setInterval(() => {
    const now = performance.now();
    due = Math.min(due + ((now - last) * rate) / 1000, connections);
    last = now;
    for (; due >= 1 && open < connections; due--) send(next(begun++));
  }, TICK_MS);
  return {
    count: () => results.length,
    /** Stops sending; resolves when all are answered or lost. */
    async stop() {
      clearInterval(timer);
      if (open > 0) await new Promise<void>((resolve) => (finished = resolve));
      await pool.destroy();
      return results;
    },
  };
}
