// Deliveries at a steady rate, each with an id of its own, over as many connections as it takes: it writes down what became
// of every single one. It never sends anything twice, and waits for an answer as long as the test lets it.
import { Pool } from 'undici';

export interface Delivery {
  readonly id: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Result {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly sent: number;
  readonly done: number;
  /** 0 where no whole answer came. */
  readonly status: number;
  /** Why no answer came: an error's code. */
  readonly trouble: string;
}

export interface PacedLoad {
  /** How many have been answered so far. */
  count(): number;
  /** Sends no more; resolves when all are answered or lost. */
  stop(): Promise<readonly Result[]>;
}

export interface LoadOptions {
  readonly url: string;
  /** A second. A machine that can't keep up sends fewer: nothing queues up behind. */
  readonly rate: number;
  readonly connections: number;
  readonly next: (nth: number) => Delivery;
  readonly onResult?: (delivery: Delivery, result: Result) => void;
}

const TICK_MS = 5;

export function startPacedLoad({ url, rate, connections, next, onResult }: LoadOptions): PacedLoad {
  // A second less than any server: what is lost here is never lost to a connection that was idle for too long.
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
      const result = { id: delivery.id, sent, done: Date.now(), status: trouble === '' ? status : 0, trouble };
      results.push(result);
      onResult?.(delivery, result);
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
    async stop() {
      clearInterval(timer);
      if (open > 0) await new Promise<void>((resolve) => (finished = resolve));
      await pool.destroy();
      return results;
    },
  };
}

/** How many ended each way, for a report: `200: 1000, ECONNREFUSED: 3`. */
export function tally(results: readonly Result[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, trouble } of results) {
    const key = trouble === '' ? String(status) : trouble;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
