// Strangers on a shared front spoil no delivery.
// The short form of `npm run load:fronts`: fronts and backends that pool connections, the proxy between them, strangers
// and signers on the same front. `REQUESTS` asks for a longer run.
import { expect, test } from 'vitest';
import { missingForFronts, runFronts, spoiledIn, tableHead, tableLine } from '../load/fronts.ts';

const REQUESTS = Number(process.env.REQUESTS ?? 4000);
const SECONDS = 240;

const missing = missingForFronts();
const NOTHING = { swallowed: 0, foreign: 0, bad: 0, cut: 0, leaked: 0, smuggled: 0, twice: 0 };

if (missing.length > 0) {
  test.skipIf(process.env.CI === undefined)(`can run here: ${missing.join(', ')}`, () => expect.fail(missing.join()));
} else {
  test(`${REQUESTS} requests through each front to each backend: nothing forged, swallowed or mis-paired`, async () => {
    const rows = await runFronts({ requests: REQUESTS, seconds: SECONDS });
    console.log([tableHead(), ...rows.map(tableLine)].join('\n'));
    for (const row of rows) expect.soft(spoiledIn(row), `${row.front} and ${row.backend}`).toEqual(NOTHING);
    expect(rows.reduce((sum, { outcome }) => sum + outcome.own, 0)).toBeGreaterThan(REQUESTS / 10);
  });
}
