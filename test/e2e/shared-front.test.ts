// Strangers spoil no delivery on a front that they share with signers.
// Fronts and backends that pool connections, the proxy between them; `npm run load:fronts` runs it for longer. Backends that
// write a body to HEAD, 204 and 304, late, would answer the next request on a socket that is used again: an unsigned
// client so forges the answers to deliveries, and gets theirs.
import { expect, test as plainTest } from 'vitest';
import { shareFront } from '../load/shared-front.ts';
import { FRONT_KINDS } from '../servers/fronts.ts';
import { LATE_KINDS } from '../servers/kinds.ts';
import { test } from '../support/proxy/proxied.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';

const PAIRS = FRONT_KINDS.flatMap((front) =>
  LATE_KINDS.map((backend) => ({ front, backend, name: `${front.name} to ${backend.name}` })),
);
/** Of each pair; all of them may take so many seconds together. */
const REQUESTS = Math.ceil(Number(process.env.REQUESTS ?? 5000) / PAIRS.length);
const MILLISECONDS = (Number(process.env.SECONDS ?? 240) * 1000) / PAIRS.length;

const missing = [...FRONT_KINDS, ...LATE_KINDS].map((kind) => kind.missing()).filter((what) => what !== null);

test.skipIf(missing.length > 0).for(PAIRS)(
  `${REQUESTS} requests through $name: nothing forged, swallowed or mis-paired`,
  { timeout: 2 * MILLISECONDS + 60_000 },
  async ({ front, backend }, { start, directory, onTestFinished }) => {
    const server = await backend.start();
    onTestFinished(server.stop);
    const middle = await start({
      listen: front.over === 'TLS' ? { tls: loopbackIdentity(directory).pair } : {},
      upstream: { url: `http://127.0.0.1:${server.port}` },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
      log: { requests: 'none' },
    });
    const { port, stop } = await front.start(middle.port);
    onTestFinished(stop);
    const deadline = performance.now() + MILLISECONDS;
    const { sent, own, spoilt } = await shareFront(port, { requests: REQUESTS, deadline });
    const seen = (await server.hits()).map((hit) => hit.case);
    const deliveries = seen.filter((id) => id.startsWith('delivery'));
    const found = {
      spoilt,
      /** Requests at the backend that no client sent. */
      smuggled: seen.filter((id) => !sent.has(id)).length,
      /** Deliveries that the backend got more than once. */
      twice: deliveries.length - new Set(deliveries).size,
    };
    console.log(`${sent.size} requests, ${own} deliveries with their own answer`, found);
    expect(found).toEqual({ spoilt: {}, smuggled: 0, twice: 0 });
    expect(own).toBeGreaterThan(sent.size / 10);
  },
);

plainTest.skipIf(process.env.CI === undefined)('all fronts and backends are there in CI', () =>
  expect(missing).toEqual([]),
);
