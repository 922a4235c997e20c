// Strangers spoil no delivery, on a front that they share with signers or without one.
// Fronts and backends that pool connections, the proxy between them; `npm run load:fronts` runs it for longer. Backends that
// write a body to HEAD, 204 and 304, late, would answer the next request on a socket that is used again: an unsigned
// client so forges the answers to deliveries, and gets theirs.
import { existsSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { missingForFronts, runFronts, startVerifying } from '../load/fronts.ts';
import { FORGED_ECHO, LATE_KINDS, LATE_REQUESTS, startSingleServer } from '../servers/late-kinds.ts';
import { SECRET } from '../support/deliveries/signer.ts';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { delivery, get } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';

const REQUESTS = Number(process.env.REQUESTS ?? 5000);
const SECONDS = Number(process.env.SECONDS ?? 240);

const missing = missingForFronts();
const NOTHING = { swallowed: 0, foreign: 0, bad: 0, cut: 0, leaked: 0, smuggled: 0, twice: 0 };

test.skipIf(missing.length > 0)(
  `${REQUESTS} requests through each front to each backend: nothing forged, swallowed or mis-paired`,
  { timeout: 2 * SECONDS * 1000 },
  async () => {
    const rows = await runFronts({ requests: REQUESTS, seconds: SECONDS });
    console.table(rows);
    for (const row of rows) expect.soft(row).toMatchObject(NOTHING);
    expect(rows.reduce((sum, { own }) => sum + own, 0)).toBeGreaterThan(REQUESTS / 10);
  },
);

test.skipIf(process.env.CI === undefined)('all fronts and backends are there in CI', () => expect(missing).toEqual([]));

// Otherwise the test above could pass by accident.
test.for(LATE_KINDS.flatMap((kind) => kind.writes.map((request) => ({ ...kind, request }))))(
  '$name does write a body after $request when there is no proxy',
  async ({ missing, start, request }, { skip }) => {
    skip(missing() !== null, 'it is not installed');
    const server = await start();
    onTestFinished(() => server.stop());
    const { method, target } = LATE_REQUESTS[request];
    const client = await sendTo(server, get(target).replace('GET', method));
    await client.response({ head: method === 'HEAD' });
    expect(values((await client.response()).lines, 'x-echo')).toEqual([FORGED_ECHO]);
    client.destroy();
  },
);

// An idle socket of the other kind would keep such a server to itself for as long as the proxy keeps it.
test.skipIf(!existsSync('/usr/bin/python3'))(
  'a server that takes one connection at a time serves deliveries beside open requests',
  async () => {
    const server = await startSingleServer();
    onTestFinished(() => server.stop());
    const proxy = await startVerifying(server.port, 'TCP', { connections: 1, keepAlive: '60s' });
    onTestFinished(async () => void (await proxy.stop()));
    const [signer, stranger] = [await openClient(proxy), await openClient(proxy)];
    for (let nth = 0; nth < 20; nth++) {
      const lines = [`X-Case: ${nth}`];
      for (const [client, bytes] of [
        [stranger, get('/open/plain', lines)],
        [signer, delivery(`{"id":${nth}}`, SECRET, { lines })],
      ] as const) {
        await client.send(bytes);
        const { status, lines: answered } = await client.response();
        expect([status, values(answered, 'x-echo')]).toEqual([200, [`${nth}`]]);
      }
    }
    for (const client of [signer, stranger]) client.destroy();
  },
);
