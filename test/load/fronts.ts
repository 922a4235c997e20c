// The proxy between fronts and backends that pool connections, with strangers and signers on the same front. A row is
// spoiled when a delivery was swallowed, cut, refused or got someone else's answer, when a stranger got the answer to a
// delivery, or when a request that no client sent reached the backend.
import { FRONT_KINDS, type FrontKind } from '../servers/fronts.ts';

import { type Kind, LATE_KINDS } from '../servers/kinds.ts';
import { startBefore } from '../servers/start-before.ts';
import { testDirectory } from '../support/machine/files.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';
import { shareFront } from './shared-front.ts';

const PAIRS = FRONT_KINDS.flatMap((front) => LATE_KINDS.map((backend) => ({ front, backend })));

/** What `runFronts` would need on this machine. */
export function missingForFronts(): string[] {
  return [...FRONT_KINDS, ...LATE_KINDS].map(({ missing }) => missing()).filter((what) => what !== null);
}

/** One row for each front and backend: `requests` over all of them, which may take so many seconds together. */
export async function runFronts(options: { readonly requests: number; readonly seconds: number }) {
  const rows: Awaited<ReturnType<typeof runPair>>[] = [];
  const share = {
    requests: Math.ceil(options.requests / PAIRS.length),
    milliseconds: (options.seconds * 1000) / PAIRS.length,
  };
  for (const { front, backend } of PAIRS) rows.push(await runPair(front, backend, share));
  return rows;
}

async function runPair(front: FrontKind, backend: Kind, share: { requests: number; milliseconds: number }) {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const server = await backend.start();
    stops.unshift(server.stop);
    const listen = front.over === 'TLS' ? { tls: loopbackIdentity(await testDirectory()).pair } : {};
    const routes = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }];
    const middle = await startBefore(server.port, { listen, routes });
    stops.unshift(middle.stop);
    const { port, stop } = await front.start(middle.port);
    stops.unshift(stop);
    const deadline = performance.now() + share.milliseconds;
    const { sent, own, spoilt } = await shareFront(port, { requests: share.requests, deadline });
    const seen = (await server.hits()).map((hit) => hit.case);
    const deliveries = seen.filter((id) => id.startsWith('delivery'));
    return {
      ...{ front: front.name, backend: backend.name, requests: sent.size, own, spoilt },
      /** Requests at the backend that no client sent. */
      smuggled: seen.filter((id) => !sent.has(id)).length,
      /** Deliveries that the backend got more than once. */
      twice: deliveries.length - new Set(deliveries).size,
    };
  } finally {
    for (const stop of stops) await stop();
  }
}
