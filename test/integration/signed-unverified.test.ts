// A typo in a route's path, beside `unmatched: forward`: deliveries pass without a verdict, and that is told.
import { expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { delivery, get, post } from '../support/http/requests.ts';
import { test, value } from '../support/proxy/proxied.ts';

test('signed requests that are forwarded unverified are counted, and told', async ({ start, upstream }) => {
  const proxy = await start({ upstream: { url: upstream.url }, routes: [{ path: '/webhoks' }], unmatched: 'forward' });
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
  expect((await client.response()).status).toBe(200);
  client.destroy();
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_unverified_signatures_total{route="unmatched"}')).toBe(3);
  const { advice } = await proxy.status();
  expect(advice[0]).toMatchObject({
    id: 'signed-unverified',
    state: 'failed',
    message: expect.stringContaining('/later'),
  });
});
