// The proxy between fronts and backends that pool connections, with strangers and signers on the same front. A row is
// spoiled when a delivery was swallowed, cut, refused or got someone else's answer, when a stranger got the answer to a
// delivery, or when a request that no client sent reached the backend.
import { FRONT_KINDS, type FrontKind } from '../servers/fronts.ts';
import type { Kind } from '../servers/lacking.ts';
import { LATE_KINDS, startNodeServer } from '../servers/late-kinds.ts';
import { startBefore } from '../servers/start-before.ts';
import { testDirectory } from '../support/machine/files.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';
import { shareFront } from './shared-front.ts';

interface FrontsOptions {
  /** Over all pairs of a front and a backend. */
  readonly requests: number;
  /** The most that they may take together. */
  readonly seconds: number;
}

type Row = Awaited<ReturnType<typeof runPair>>;

/** The clients' own connections, in place of a front: behind it are all backends that write late. */
const NO_FRONT: FrontKind = {
  ...{ name: 'none', over: 'TCP', missing: () => null },
  start: async (behind) => ({ port: behind, stop: async () => {} }),
};
const FRONTS = [NO_FRONT, ...FRONT_KINDS];
const BACKENDS: readonly Kind[] = [
  ...LATE_KINDS.filter(({ name }) => !name.startsWith('WSGI') && name !== 'waitress'),
  { name: 'Node', missing: () => null, start: startNodeServer },
];
const backendsOf = (front: FrontKind) => (front === NO_FRONT ? LATE_KINDS : BACKENDS);

/** What `runFronts` would need on this machine. */
export function missingForFronts(): string[] {
  return [...FRONT_KINDS, ...BACKENDS, ...LATE_KINDS].map(({ missing }) => missing()).filter((what) => what !== null);
}

/** One row for each front and backend. */
export async function runFronts(options: FrontsOptions): Promise<Row[]> {
  const pairs = FRONTS.flatMap((front) => backendsOf(front).map((backend) => ({ front, backend })));
  const rows: Row[] = [];
  const requests = Math.ceil(options.requests / pairs.length);
  const milliseconds = (options.seconds * 1000) / pairs.length;
  for (const { front, backend } of pairs) rows.push(await runPair(front, backend, { requests, milliseconds }));
  return rows;
}

async function runPair(
  front: FrontKind,
  backend: Kind,
  { requests, milliseconds }: { requests: number; milliseconds: number },
) {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const server = await backend.start();
    stops.unshift(server.stop);
    const middle = await startVerifying(server.port, front.over);
    stops.unshift(middle.stop);
    const { port, stop } = await front.start(middle.port);
    stops.unshift(stop);
    const deadline = performance.now() + milliseconds;
    const { sent, texts, ...counts } = await shareFront(port, { requests, deadline });
    const seen = (await server.hits()).map((hit) => hit.case);
    const times = new Map<string, number>();
    for (const id of seen) times.set(id, (times.get(id) ?? 0) + 1);
    const arrived = [...times.keys()].filter((id) => id.startsWith('delivery'));
    return {
      front: front.name,
      backend: backend.name,
      ...counts,
      /** Requests at the backend that no client sent. */
      smuggled: seen.filter((id) => !sent.has(id)).length,
      /** Deliveries that the backend got more than once. */
      twice: arrived.filter((id) => (times.get(id) ?? 0) > 1).length,
      /** Deliveries that the backend got although their senders got no answer of theirs. */
      untold: Math.max(0, arrived.length - counts.own),
      became: [...texts].map(([text, count]) => `${count} × ${text}`).join(', '),
    };
  } finally {
    for (const stop of stops) await stop();
  }
}

/** A proxy that `shareFront` can use. */
export async function startVerifying(upstream: number, over: FrontKind['over'], settings: object = {}) {
  const listen = over === 'TLS' ? { tls: loopbackIdentity(await testDirectory()).pair } : {};
  const routes = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }];
  return startBefore(upstream, { listen, upstream: settings, routes });
}
