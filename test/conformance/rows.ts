// All rows of the tables, and a reader for the responses to a row, shared by the tests that play them.
import type { RawClient } from '../support/http/raw-client.ts';
import type { RawResponse } from '../support/http/response-parser.ts';
import { DELIVERIES } from './cases/deliveries.ts';
import { FRAMING } from './cases/framing.ts';
import { HEADERS } from './cases/headers.ts';
import { LIMITS } from './cases/limits.ts';
import { SMUGGLING } from './cases/smuggling.ts';
import { TARGETS } from './cases/targets.ts';
import type { WireCase } from './wire-case.ts';

export const CASES: readonly WireCase[] = [...SMUGGLING, ...FRAMING, ...TARGETS, ...HEADERS, ...DELIVERIES, ...LIMITS];

/** As many responses as the row expects, or fewer if the connection ends first. */
export async function readResponses(client: RawClient, row: WireCase): Promise<RawResponse[]> {
  const responses: RawResponse[] = [];
  for (const index of row.status.keys()) {
    const response = await client.responseOrClose({ head: row.head === true && index === 0 });
    if (response === null) break;
    responses.push(response);
  }
  return responses;
}
