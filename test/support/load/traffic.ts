// Senders, good and bad, for tests that watch the proxy over time: a steady rate, to each proxy in turn.
import { sign } from '../deliveries/signer.ts';

export interface Traffic {
  /** What senders sign with; it may change. */
  secret: string;
  stop(): Promise<void>;
}

interface Shot {
  readonly method: string;
  readonly target: string;
  readonly body?: string;
  readonly signature?: string;
}

/** The routes that it calls, for the config of the proxies. */
export const ROUTES = [
  { path: '/notify' },
  { path: '/events', once: '1h' },
  { path: '/webhooks/*', mode: 'report' },
  { path: '/healthz', action: 'forward' },
  { path: '/closed', action: 'reject' },
] as const;

const TICK_MS = 50;

/** One round each 50 ms, to the next proxy. */
export function startTraffic(urls: readonly string[], secret: string): Traffic {
  const open = new Set<Promise<unknown>>();
  let round = 0;
  const shoot = async (url: string, { method, target, body, signature }: Shot) => {
    const headers = signature === undefined ? {} : { 'Entrupy-Signature': signature };
    const response = await fetch(url + target, { method, headers, ...(body !== undefined && { body }) });
    await response.arrayBuffer();
  };
  const traffic: Traffic = {
    secret,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
  const timer = setInterval(() => {
    round++;
    const url = urls[round % urls.length] ?? '';
    for (const shot of shots(traffic.secret, round)) {
      const shooting = shoot(url, shot)
        .catch(() => {})
        .finally(() => open.delete(shooting));
      open.add(shooting);
    }
  }, TICK_MS);
  return traffic;
}

/** The requests of one round; rare ones come every so many rounds. */
function shots(secret: string, round: number): readonly Shot[] {
  const body = JSON.stringify({ event: round, note: 'x'.repeat(round % 700) });
  const post = (target: string): Shot => ({ method: 'POST', target, body, signature: sign(secret, body) });
  const every = (rounds: number, shot: Shot) => (round % rounds === 0 ? [shot] : []);
  return [
    // /events also twice at once, as with two subscriptions.
    ...[post('/notify'), ...every(4, post('/events')), ...every(12, post('/events'))],
    ...every(4, post('/webhooks/orders')),
    ...every(10, { method: 'POST', target: '/webhooks/orders', body }),
    ...every(4, { method: 'GET', target: '/healthz' }),
    ...every(10, { method: 'GET', target: '/wp-login.php' }),
    ...every(20, { method: 'POST', target: '/closed', body }),
    ...every(100, { method: 'POST', target: '/notify', body }),
  ];
}
