// An event that kills the app must not starve the rest, nor run for ever.
import { join } from 'node:path';
import { expect } from 'vitest';
import { freePort } from '../support/machine/free-port.ts';
import { deferred, deliver, redeliver, test } from '../support/redelivery/proxy.ts';
import { waitFor } from '../support/runner/wait-for.ts';
import { recordingApp } from '../support/upstream/recording-app.ts';

const GOOD = 1000;

test('one of a thousand kills the app: all others arrive', async ({ redeliverer, directory }) => {
  const recordFile = join(directory, 'arrivals');
  const app = recordingApp({ port: await freePort(), recordFile, after: 200 });
  const proxy = await redeliverer({
    upstream: { url: app.url, retryConnectFor: '10ms' },
    config: { log: { requests: 'none' } },
  });
  const ids = Array.from({ length: GOOD }, (_, at) => `good-${at}`);
  const bodies = ids.map((id) => `{"id":"${id}"}`);
  bodies.splice(300, 0, '{"id":"poison"}');
  for (let at = 0; at < bodies.length; at += 25) {
    const answers = await Promise.all(bodies.slice(at, at + 25).map((body) => deliver(proxy, body)));
    expect(answers.every(({ status }) => status === 202)).toBe(true);
  }
  expect(await deferred(proxy)).toMatchObject({ waiting: GOOD + 1 });
  try {
    await app.start('steady');
    await redeliver(proxy);
    // A probe each ten seconds after each death.
    await waitFor(async () => expect((await deferred(proxy)).waiting).toBe(1), 300_000);
    const arrivals = app.arrivals();
    const taken = new Set(arrivals.filter(({ status }) => status === 200).map(({ id }) => id));
    expect(taken.size).toBe(GOOD);
    const deaths = arrivals.filter(({ id }) => id === 'poison').length;
    console.log(`${deaths} deaths, ${arrivals.length - deaths - GOOD} arrived twice`);
    expect(deaths).toBeGreaterThan(0);
    expect(deaths).toBeLessThan(8);
    // Those beside it when it kills the app: seven at most each time.
    expect(arrivals.length - deaths - GOOD).toBeLessThanOrEqual(7 * deaths);
  } finally {
    await app.stop();
  }
});
