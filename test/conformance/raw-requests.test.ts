// Plays each row of the tables on a raw socket and checks both ends: what the client got, and what a deliberately
// lenient upstream parsed as a request. Each configuration has one proxy, which plays its rows one after another.
import { describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { get } from '../support/http/requests.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { DELIVERIES } from './cases/deliveries.ts';
import { FRAMING } from './cases/framing.ts';
import { HEADERS } from './cases/headers.ts';
import { SMUGGLING } from './cases/smuggling.ts';
import { TARGETS } from './cases/targets.ts';
import { REFUSALS, VARIANTS, type Variant, type WireCase } from './wire-case.ts';

const CASES: readonly WireCase[] = [...SMUGGLING, ...FRAMING, ...TARGETS, ...HEADERS, ...DELIVERIES];

describe.each(Object.keys(VARIANTS) as Variant[])('on the configuration "%s"', (variant) => {
  const cases = CASES.filter(({ on }) => on === variant);
  const expected: string[] = [];
  const on = shared(startLenientUpstream, { ...VARIANTS[variant], upstream: { keepAlive: '30s' } });

  test.each(cases)('$name: as the RFCs and the rules say', async (row) => {
    const before = on.upstream.seen.length;
    const client = await openClient(on.proxy);
    try {
      await client.send(row.send);
      const responses = await readResponses(client, row);
      expect(responses.map(({ status }) => status)).toEqual(row.status);
      responses.forEach((response, index) => {
        checkRefusal(response, row.head === true && index === 0);
      });
      const informational = responses[0]?.informational.map(({ status }) => status);
      expect(informational).toEqual(row.informational ?? []);
      await checkEnd(client, row);
    } finally {
      client.destroy();
      expected.push(...row.upstream);
    }
    const seen = on.upstream.seen.slice(before);
    expect(on.upstream.list().slice(before)).toEqual(row.upstream);
    if (row.lines !== undefined) {
      expect(seen[0]?.lines).toEqual(row.lines);
    }
  });

  test('not one further byte reached the upstream, and the process is alive', async () => {
    const { code } = await on.proxy.stop();
    expect(code).toBe(0);
    expect(on.upstream.list()).toEqual(expected);
    expect(on.upstream.leftovers()).toEqual([]);
  });

  test('no unsigned byte became a request on the verified route', () => {
    if (variant === 'report') return;
    const deliveries = on.upstream.seen.filter(({ target }) => target === '/notify');
    for (const { lines, body } of deliveries) {
      expect(values(lines, 'entrupy-signature')).toEqual([sign(SECRET, body)]);
    }
  });
});

/** As many responses as the row expects, or fewer if the connection ends first. */
async function readResponses(client: RawClient, row: WireCase): Promise<RawResponse[]> {
  const responses: RawResponse[] = [];
  for (const index of row.status.keys()) {
    const response = await client.responseOrClose({ head: row.head === true && index === 0 });
    if (response === null) break;
    responses.push(response);
  }
  return responses;
}

function checkRefusal(response: RawResponse, toHead: boolean): void {
  const bodies = REFUSALS[response.status];
  if (bodies === undefined) return;
  expect(values(response.lines, 'content-type')).toEqual(['application/json']);
  if (!toHead) expect(bodies).toContain(response.body.toString('latin1'));
  if (response.status === 405) expect(values(response.lines, 'allow')).toEqual(['POST']);
  if (response.status === 503) expect(values(response.lines, 'retry-after')).toEqual(['1']);
}

/**
 * Sends one more request after the last response. A connection that may stay open gives its 404 or ends, without a
 * stray byte before. On a connection that must close, the request is never processed.
 */
async function checkEnd(client: RawClient, row: WireCase): Promise<void> {
  await client.send(get('/gone', ['Connection: close']));
  if (row.closes === true) {
    client.end();
  } else {
    const last = await client.responseOrClose();
    if (row.status.every((status) => status === 200)) expect(last).not.toBeNull();
    if (last !== null) expect(last.status).toBe(404);
  }
  expect((await client.rest()).toString('latin1')).toBe('');
}
