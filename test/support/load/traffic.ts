// Senders, good and bad, for tests that watch the proxy over time: a steady rate, to each proxy in turn, in a mix that
// the test changes as it goes.
import { sign } from '../deliveries/signer.ts';

export interface Mix {
  /** The secret that senders sign with; null for none. */
  readonly secret: string | null;
  /** Forged deliveries for each good one. */
  readonly forged: number;
  /** False while nobody calls /notify and /events. */
  readonly deliveries: boolean;
}

export interface Traffic {
  mix: Mix;
  /** Statuses so far. */
  readonly answers: Map<number, number>;
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

/** One round of the mix each 50 ms, to the next proxy. */
export function startTraffic(urls: readonly string[], mix: Mix): Traffic {
  const answers = new Map<number, number>();
  const open = new Set<Promise<void>>();
  let round = 0;
  const shoot = async (url: string, { method, target, body, signature }: Shot) => {
    const headers = signature === undefined ? {} : { 'Entrupy-Signature': signature };
    const init = { method, headers, ...(body !== undefined && { body }) };
    const status = await fetch(url + target, init).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => 0,
    );
    answers.set(status, (answers.get(status) ?? 0) + 1);
  };
  const traffic: Traffic = {
    mix,
    answers,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
  const timer = setInterval(() => {
    round++;
    const url = urls[round % urls.length] ?? '';
    for (const shot of shots(traffic.mix, round)) {
      const shooting = shoot(url, shot).finally(() => open.delete(shooting));
      open.add(shooting);
    }
  }, TICK_MS);
  return traffic;
}

/** The requests of one round; rare ones come every so many rounds. */
function shots({ secret, forged, deliveries }: Mix, round: number): readonly Shot[] {
  const body = JSON.stringify({ event: round, note: 'x'.repeat(round % 700) });
  const signature = secret === null ? null : sign(secret, body);
  const post = (target: string, signed: string | null = signature): Shot => ({
    method: 'POST',
    target,
    body,
    ...(signed !== null && { signature: signed }),
  });
  const every = (rounds: number, shot: Shot) => (round % rounds === 0 ? [shot] : []);
  const bad = Array.from({ length: forged }, (_, nth) => post('/notify', nth % 3 === 2 ? null : sign('forger', body)));
  return [
    // /events also twice at once, as with two subscriptions.
    ...(deliveries ? [post('/notify'), ...every(4, post('/events')), ...every(12, post('/events'))] : []),
    ...every(4, post('/webhooks/orders')),
    ...every(10, { method: 'POST', target: '/webhooks/orders', body }),
    ...every(4, { method: 'GET', target: '/healthz' }),
    ...every(10, { method: 'GET', target: '/wp-login.php' }),
    ...every(20, { method: 'POST', target: '/closed', body }),
    ...every(100, { method: 'POST', target: '/notify', body }),
    ...bad,
  ];
}
