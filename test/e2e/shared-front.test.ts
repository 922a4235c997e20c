// Strangers spoil no delivery on a front that they share with signers.
// Fronts and backends that pool connections, the proxy between them; `npm run load:fronts` runs it for longer. Backends that
// write a body to HEAD, 204 and 304, late, would answer the next request on a socket that is used again: an unsigned
// client so forges the answers to deliveries, and gets theirs.
import { expect, test } from 'vitest';
import { missingForFronts, runFronts } from '../load/fronts.ts';

const REQUESTS = Number(process.env.REQUESTS ?? 5000);
const SECONDS = Number(process.env.SECONDS ?? 240);

const missing = missingForFronts();

test.skipIf(missing.length > 0)(
  `${REQUESTS} requests through each front to each backend: nothing forged, swallowed or mis-paired`,
  { timeout: 2 * SECONDS * 1000 },
  async () => {
    const rows = await runFronts({ requests: REQUESTS, seconds: SECONDS });
    console.table(rows.map(({ spoilt, ...row }) => ({ ...row, spoilt: JSON.stringify(spoilt) })));
    for (const row of rows) expect.soft(row).toEqual({ ...row, spoilt: {}, smuggled: 0, twice: 0 });
    expect(rows.reduce((sum, { own }) => sum + own, 0)).toBeGreaterThan(REQUESTS / 10);
  },
);

test.skipIf(process.env.CI === undefined)('all fronts and backends are there in CI', () => expect(missing).toEqual([]));
