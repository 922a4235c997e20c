// Our verdicts equal those of Entrupy's example receiver.
// The verdict on each delivery of the table. Ours is always checked against the recorded expectation. The example
// receiver's is checked on the same bytes, where it can run.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasExampleReceiver, startExampleReceiver } from '../support/deliveries/example-receiver.ts';
import { exchange } from '../support/http/raw-client.ts';
import type { Started } from '../support/machine/on-free-port.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { delivery, SECRET, VERDICT_CASES } from '../testdata/verdict-cases.ts';

describe('our verdict', () => {
  const on = shared(startUpstream, {}, { secrets: { current: SECRET } });

  test.each(VERDICT_CASES)('on $name is as the table says', async (row) => {
    const before = on.upstream.requests.length;
    const response = await exchange(on.proxy.port, delivery(row));
    expect(response.status).toBe(row.status);
    const reached = on.upstream.requests.slice(before);
    if (row.status === 200) {
      expect(reached.map(({ body }) => body.toString('latin1'))).toEqual([row.body.toString('latin1')]);
    } else {
      expect(response.body.toString()).toBe('{"error":"unauthorized"}');
      expect(reached).toEqual([]);
    }
  });
});

describe.skipIf(!hasExampleReceiver())("the example receiver's verdict", () => {
  let receiver: Started;
  beforeAll(async () => {
    receiver = await startExampleReceiver(SECRET);
  });
  afterAll(() => receiver?.stop());

  test.each(VERDICT_CASES)('on $name is as the table says', async (row) => {
    const response = await exchange(receiver.port, delivery(row));
    expect(response.status, row.example?.because).toBe(row.example?.status ?? row.status);
  });
});
