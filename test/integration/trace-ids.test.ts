// A log line can be found by the trace of its request.
// A client writes `traceparent` as it likes, so the log has the id of a valid one only.
import { expect } from 'vitest';
import { exchange } from '../support/http/raw-client.ts';
import { test } from '../support/proxy/proxied.ts';

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

const ROWS: readonly (readonly [traceparent: string, id: string | undefined])[] = [
  [`00-${ID}-${PARENT}-01`, ID],
  [`01-${ID}-${PARENT}-01-what a later version adds`, ID],
  [`ff-${ID}-${PARENT}-01`, undefined],
  [`00-${'0'.repeat(32)}-${PARENT}-01`, undefined],
  [`00-${ID}-${'0'.repeat(16)}-01`, undefined],
  [`00-${ID.toUpperCase()}-${PARENT}-01`, undefined],
  [`00-${ID}-${PARENT}-01x`, undefined],
  [ID, undefined],
];

test('the log has the trace id of a valid traceparent, and of no other', async ({ start }) => {
  const proxy = await start({});
  const found: unknown[] = [];
  for (const [index, [traceparent]] of ROWS.entries()) {
    await exchange(proxy.port, `POST /row${index} HTTP/1.1\r\nHost: h\r\nTraceparent: ${traceparent}\r\n\r\n`);
    const line = await proxy.waitForLog(({ path }) => path === `/row${index}`, 'the request');
    found.push([traceparent, line.trace_id]);
  }
  expect(found).toEqual(ROWS);
});
