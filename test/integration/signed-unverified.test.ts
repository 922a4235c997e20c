// What a proxy tells of requests that it forwards without a verdict: those that had a signature, as where a route's path has a
// typo beside `unmatched: forward`, and the trace that a request belongs to.
import { expect } from 'vitest';
import { exchange, openClient } from '../support/http/raw-client.ts';
import { delivery, get, post } from '../support/http/requests.ts';
import { test, value } from '../support/proxy/proxied.ts';

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
/** A client writes the header as it likes, so the log has the id of a valid one only. */
const TRACES: readonly (readonly [traceparent: string, id: string | undefined])[] = [
  [`00-${ID}-${PARENT}-01`, ID],
  [`01-${ID}-${PARENT}-01-what a later version adds`, ID],
  [`ff-${ID}-${PARENT}-01`, undefined],
  [`00-${'0'.repeat(32)}-${PARENT}-01`, undefined],
  [`00-${ID}-${'0'.repeat(16)}-01`, undefined],
  [`00-${ID.toUpperCase()}-${PARENT}-01`, undefined],
  [`00-${ID}-${PARENT}-01x`, undefined],
  [ID, undefined],
];

test('signed requests that are forwarded unverified are told; trace ids are logged', async ({ start, answering }) => {
  const upstream = await answering((request, response) =>
    response.writeHead(request.target === '/later' ? 404 : 200).end(),
  );
  const routes = [{ path: '/webhoks' }];
  const config = { upstream: { url: upstream.url }, routes, unmatched: 'forward', log: { requests: 'all' } };
  const proxy = await start(config);
  const client = await openClient(proxy);
  const target = '/webhooks/entrupy';
  const malformed = post('event', { target, lines: ['Entrupy-Signature: none'] });
  for (const bytes of [
    post('event', { target }),
    malformed,
    get(target),
    delivery('event', value('forged'), { target }),
  ]) {
    await client.send(bytes);
    expect((await client.response()).status).toBe(200);
  }
  await client.send(delivery('event', value('forged'), { target: '/later' }));
  expect((await client.response()).status).toBe(404);
  client.destroy();
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_unverified_signatures_total{route="unmatched"}')).toBe(3);
  const { advice } = await proxy.status();
  expect(advice[0]).toMatchObject({
    id: 'signed-unverified',
    state: 'failed',
    message: expect.stringMatching(/ the last to \/later .* The app answered 404 to the last one\.$/),
  });

  const found: unknown[] = [];
  for (const [index, [traceparent]] of TRACES.entries()) {
    await exchange(proxy.port, get(`/row${index}`, [`Traceparent: ${traceparent}`]));
    const line = await proxy.waitForLog(({ path }) => path === `/row${index}`, 'the request');
    found.push([traceparent, line.trace_id]);
  }
  expect(found).toEqual(TRACES);
});
