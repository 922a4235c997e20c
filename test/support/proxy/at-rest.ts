// Checks that a proxy has released everything. Called after each test that stresses a proxy.
import { expect } from 'vitest';
import { exchange } from '../http/raw-client.ts';
import { waitFor } from '../runner/wait-for.ts';
import type { RunningProxy } from './proxy.ts';

/** Polls `/metrics` until `satisfied`; fails with the last values of `names` if that takes too long. */
export function untilMetrics(
  proxy: RunningProxy,
  names: readonly string[],
  satisfied: (values: readonly number[]) => boolean,
): Promise<void> {
  return waitFor(async () => {
    const metrics = await proxy.metrics();
    const values = names.map((name) => metrics.get(`entrupy_proxy_${name}`) ?? Number.NaN);
    if (!satisfied(values)) throw new Error(`${names} are ${values}`);
  });
}

export function inFlight(proxy: RunningProxy, count: number): Promise<void> {
  return untilMetrics(proxy, ['requests_in_flight'], ([found]) => found === count);
}

/** No request in flight, no body held. */
export function untilAtRest(proxy: RunningProxy): Promise<void> {
  return untilMetrics(proxy, ['requests_in_flight', 'buffered_bytes'], (values) =>
    values.every((value) => value === 0),
  );
}

/** As many requests at once as there are slots, each answered at once: no slot has leaked. */
export async function expectSlotsFree(
  proxy: RunningProxy,
  { slots, target }: { slots: number; target: string },
): Promise<void> {
  const asked = Array.from({ length: slots }, () => exchange(proxy.port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`));
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(slots).fill(200));
}
