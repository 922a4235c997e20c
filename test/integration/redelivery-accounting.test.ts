// The numbers add up, whatever happens: what was stored, less what replaced an equal event, was delivered, expired, was
// dropped, or waits.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { type Answer, deferred, deliver, drop, recordsIn, redeliver, test } from '../support/redelivery/redelivery.ts';
import { seeded } from '../support/runner/seeded.ts';

const ROUNDS = 6;
const EACH_ROUND = 30;
/** Fewer bodies than deliveries: equal events replace and end each other. */
const BODIES = 40;
const BROKEN: Answer = (_request, response) => {
  response.writeHead(200, { 'Content-Length': 100 }).write('half', () => response.socket?.destroy());
};
const ANSWERS: readonly Answer[] = [200, 200, 500, 503, 429, 404, 'reset', BROKEN];

/** How often the log has a message, those included that it counts together. */
function told(proxy: RunningProxy, message: string): number {
  const lines = proxy.logs().filter(({ msg }) => msg === message);
  return lines.reduce((sum, { count }) => sum + (typeof count === 'number' ? count : 1), 0);
}

async function account(proxy: RunningProxy) {
  const metrics = await proxy.metrics();
  const result = (name: string) =>
    metrics.get(`entrupy_proxy_redelivered_total{route="/notify",result="${name}"}`) ?? 0;
  const answered = metrics.get('entrupy_proxy_requests_total{route="/notify",decision="deferred",reason="none"}') ?? 0;
  const { waiting = 0, stopped = 0, unverified = 0 } = await deferred(proxy);
  const late = told(proxy, 'a delivery was stored late: its client has been told of a failure');
  const replaced = told(proxy, 'a deferred delivery was replaced by an equal one');
  return {
    stored: answered + late - replaced,
    ended: result('delivered') + result('expired') + result('dropped'),
    rest: waiting + stopped + unverified,
    kinds: { delivered: result('delivered'), expired: result('expired'), dropped: result('dropped'), replaced },
  };
}

test('what was stored adds up with what ended and what waits', async ({ app, redeliverer, directory }) => {
  const random = seeded(7);
  const proxy = await redeliverer({
    route: { redeliver: '4s' },
    config: { log: { requests: 'none' } },
    upstream: { responseTimeout: '1s' },
  });
  app.answer = () => ANSWERS[Math.floor(random() * ANSWERS.length)] ?? 200;
  for (let round = 0; round < ROUNDS; round++) {
    const sent = Array.from({ length: EACH_ROUND }, async () => {
      await sleep(random() * 1500);
      await deliver(proxy, `event ${Math.floor(random() * BODIES)}`).catch(() => null); // one breaks off now and then
    });
    await Promise.all(sent);
    if (round % 2 === 0) await redeliver(proxy);
    for (const id of (await recordsIn(directory)).slice(0, 2)) await drop(directory, id);
  }
  const isBalanced = async () => {
    const { stored, ended, rest } = await account(proxy);
    return stored - ended - rest;
  };
  // The count of equal messages is written every ten seconds.
  await eventually(isBalanced, 0);
  app.answer = () => 200;
  await redeliver(proxy);
  await eventually(async () => (await account(proxy)).rest, 0);
  await eventually(isBalanced, 0);
  const { kinds } = await account(proxy);
  for (const [kind, count] of Object.entries(kinds)) expect(count, kind).toBeGreaterThan(0);
});
