// What is costly to show is made once for all who ask at once.
import { expect, test } from 'vitest';
import { type AdminSources, adminHandlers } from '../../../src/admin/handlers.ts';
import type { Exchange } from '../../../src/downstream/client-exchange.ts';
import { GAUGES, metricsOf, snapshot } from '../metrics/fixtures.ts';

const PAGES = ['/', '/api/status', '/?refresh=off'];

test('the status page and its JSON: one status for all', async () => {
  let taken = 0;
  const status = () => {
    taken++;
    return snapshot();
  };
  const handlers = adminHandlers({ status } as unknown as AdminSources);
  const view = async (target: string) => {
    const path = target.replace(/\?.*/, '');
    const exchange = { head: { target }, path } as unknown as Exchange;
    return (await handlers[path]?.run(exchange, ''))?.body.length;
  };
  const lengths = await Promise.all([...PAGES, ...PAGES, ...PAGES].map(view));
  expect(lengths.every((length = 0) => length > 1000)).toBe(true);
  expect(taken).toBe(1);
  await view('/');
  expect(taken).toBe(2);
});

test('the metrics: one text in each format', async () => {
  const metrics = metricsOf();
  await metrics.expose(undefined); // prom-client is loaded
  let read = 0;
  const count = () => ++read;
  metrics.watch({ ...GAUGES, requests_in_flight: count });
  const accept = ['text/plain', 'application/openmetrics-text'];
  const bodies = (await Promise.all([...accept, ...accept, ...accept].map((each) => metrics.expose(each)))).map(
    ({ body }) => body,
  );
  expect(new Set(bodies).size).toBe(2);
  expect(read).toBe(2);
});
