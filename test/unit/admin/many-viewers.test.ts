// What is costly to show is made once for all who ask at once.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type AdminSources, adminHandlers } from '../../../src/admin/handlers.ts';
import type { Exchange } from '../../../src/downstream/client-exchange.ts';
import { judged, metricsOf } from '../fixtures.ts';

const PAGES = ['/', '/api/status', '/?refresh=off'];

test('the status page and its JSON: one status for all', async () => {
  let taken = 0;
  const status = () => {
    taken++;
    return judged();
  };
  const handlers = adminHandlers({ probe: async () => ({}), status } as unknown as AdminSources);
  const view = async (target: string) => {
    const path = target.replace(/\?.*/, '');
    const exchange = { head: { target }, path } as unknown as Exchange;
    return (await handlers[path]?.(exchange))?.body.length;
  };
  const lengths = await Promise.all([...PAGES, ...PAGES, ...PAGES].map(view));
  expect(lengths.every((length = 0) => length > 1000)).toBe(true);
  expect(taken).toBe(1);
  await view('/');
  expect(taken).toBe(2);
});

test('nobody waits for a probe of the upstream that another one has begun', async () => {
  const probed = Promise.withResolvers<object>();
  let probes = 0;
  const probe = () => {
    probes++;
    return probed.promise;
  };
  const handlers = adminHandlers({ probe, status: () => judged() } as unknown as AdminSources);
  const views: unknown[] = [];
  for (let at = 0; at < 6; at++) {
    const path = at % 2 === 0 ? '/' : '/api/status';
    views.push(handlers[path]?.({ head: { target: path }, path } as unknown as Exchange));
    await nextTurn();
  }
  expect(probes).toBe(6);
  probed.resolve({});
  await Promise.all(views);
});

test('the metrics: one text in each format', async () => {
  let read = 0;
  const metrics = metricsOf({}, { requests_in_flight: () => ++read });
  await metrics.expose(undefined); // prom-client is loaded
  read = 0;
  const accept = ['text/plain', 'application/openmetrics-text'];
  const bodies = (await Promise.all([...accept, ...accept, ...accept].map((each) => metrics.expose(each)))).map(
    ({ body }) => body,
  );
  expect(new Set(bodies).size).toBe(2);
  expect(read).toBe(2);
});
