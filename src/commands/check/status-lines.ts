// What `check` says of a running proxy, line by line: the advice of /api/status, and a line for each thing that is
// right. What is wrong is told by the advice alone, so that no text exists twice.
import type { ApiStatus } from '../../admin/advice.ts';
import { PAGES } from '../../admin/advice-pages.ts';

export interface Line {
  readonly id: string;
  readonly state: 'ok' | 'warning' | 'failed' | 'unknown';
  readonly message: string;
  /** What to do, and the page in docs/ that explains it; null for a line that is ok. */
  readonly remedy: string | null;
  readonly page: string | null;
}

type Said = Pick<Line, 'message' | 'remedy' | 'page'>;

export const ok = (id: string, message: string): Line => ({ id, state: 'ok', message, remedy: null, page: null });
export const warning = (id: string, said: Said): Line => ({ id, state: 'warning', ...said });
export const failed = (id: string, said: Said): Line => ({ id, state: 'failed', ...said });
export const unknown = (id: string, said: Said): Line => ({ id, state: 'unknown', ...said });

/** Warnings of the status page that fail a check: no delivery is lost yet, but this is not how it was meant to run. */
const FAILS: ReadonlySet<string> = new Set(['ready', 'exposed', 'reload']);

/** What each check says if it is right; null if nothing of the kind is configured. In the order of the output. */
const RIGHT: Readonly<Record<string, (s: ApiStatus) => string | null>> = {
  ready: ({ ready, draining, version }) => (ready && !draining ? `The proxy is ready (version ${version}).` : null),
  secrets: ({ routes }) => {
    const live = routes.filter(({ action, liveSecrets }) => action === 'verify' && liveSecrets > 0);
    return live.length === 0
      ? null
      : `Live secrets: ${live.map((one) => `${one.liveSecrets} on ${one.path}`).join(', ')}.`;
  },
  upstream: ({ upstream: { url, reachable } }) => (reachable ? `The upstream ${url} accepts connections.` : null),
  exposed: ({ upstream: { exposure } }) => (exposure === 'hidden' ? 'Clients cannot bypass the proxy.' : null),
  certificates: ({ certificates }) => {
    const ends = certificates.map(
      ({ file, notAfter }) => `${file} until ${new Date(notAfter).toISOString().slice(0, 10)}`,
    );
    return ends.length === 0 ? null : `TLS certificates: ${ends.join(', ')}.`;
  },
  reload: ({ lastReload }) =>
    lastReload === null
      ? 'No reload since the start.'
      : `The last reload worked, at ${new Date(lastReload.at).toISOString()}.`,
  once: ({ once }) => (once === null ? null : `The store of delivered events (${once.store}) answers.`),
  redelivery: ({ deferred }) =>
    deferred === null ? null : `The store of deferred deliveries (${deferred.store}) works.`,
};

/** Facts that stay true beside a warning on the same subject, such as a secret that ends soon. */
const BESIDE_WARNINGS: ReadonlySet<string> = new Set(['secrets', 'upstream']);

export function statusLines(s: ApiStatus): readonly Line[] {
  const told = s.advice
    .filter(({ id }) => id !== 'all')
    .map(
      (advice): Line => (FAILS.has(advice.id) && advice.state === 'warning' ? { ...advice, state: 'failed' } : advice),
    );
  const right = Object.entries(RIGHT).flatMap(([id, say]) => {
    const about = told.filter((line) => line.id === id && line.state !== 'ok');
    const isRight = about.every(({ state }) => BESIDE_WARNINGS.has(id) && state === 'warning');
    const message = isRight ? say(s) : null;
    return message === null ? [] : [ok(id, message)];
  });
  const all = s.advice.filter(({ id }) => id === 'all').map(({ message }) => ok('deliveries', message));
  return inOrder([...right, ...told, ...notYetKnown(s), ...all]);
}

function notYetKnown({ upstream: { exposure } }: ApiStatus): readonly Line[] {
  if (exposure !== 'unknown') return [];
  const remedy = 'Set $POD_IP to the address of the pod, as the chart does; the first look comes with the start.';
  const message =
    'Whether clients can bypass the proxy is not known: it has not looked, or knows no address to look at.';
  return [unknown('exposed', { message, remedy, page: PAGES.exposed })];
}

/** Lines on one subject stand together. */
function inOrder(lines: readonly Line[]): readonly Line[] {
  const order = Object.keys(RIGHT);
  const place = ({ id }: Line) => (order.includes(id) ? order.indexOf(id) : order.length);
  return lines.toSorted((a, b) => place(a) - place(b));
}
