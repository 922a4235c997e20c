// A drain loses no request on a pooled connection.
// Load balancers keep connections for a long time and use each now and then. A proxy that closes them as it exits meets
// requests in transit: 20 of 3,346 were lost that way. Connections must end earlier, while new ones are still served.
import { expect, onTestFinished, test, vi } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { type PooledLoad, startPooledLoad } from '../support/load/pooled-load.ts';
import { pause } from '../support/load/under-load.ts';
import { builtProgram } from '../support/proxy/program.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const SECRET = 'pooled-connections-secret-0123456789abcdef';
const BODY = '{"event":1}';
const REQUEST = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, BODY)}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const CONNECTIONS = 300;
const DELAY_MS = 5000;

async function start(
  pick: 'random' | 'oldest' = 'random',
): Promise<{ readonly proxy: RunningProxy; readonly load: PooledLoad }> {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const proxy = await startProxy({
    program: builtProgram(),
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/notify' }],
      shutdown: { delay: `${DELAY_MS}ms`, grace: '5s' },
    },
    secrets: { current: SECRET },
  });
  onTestFinished(async () => void (await proxy.stop()));
  const pool = { connections: CONNECTIONS, rate: 40, pick, looks: 'first' } as const;
  const load = await startPooledLoad({ port: proxy.port, request: REQUEST, ...pool });
  onTestFinished(async () => console.log(JSON.stringify(await load.stop())));
  await pause(1000);
  expect(load.idle()).toBeGreaterThan(CONNECTIONS - 10);
  return { proxy, load };
}

/** The last idle connection ends while a new one is still served, with Connection: close. */
async function expectIdleEndedInTime(proxy: RunningProxy, load: PooledLoad): Promise<void> {
  await vi.waitFor(() => expect(load.idle()).toBe(0), { timeout: 2 * DELAY_MS, interval: 10 });
  const { status, lines } = await exchange(proxy.port, REQUEST);
  expect([status, lines.includes('Connection: close')]).toEqual([200, true]);
}

async function expectNothingLost(load: PooledLoad): Promise<void> {
  const { ends, endedIdle } = await load.stop();
  expect(Object.keys(ends)).toEqual(['200']);
  expect(endedIdle).toBeGreaterThan(0);
}

test.for([
  ['any of its connections', 'random'],
  ['the one that was idle longest, which is no time to close that one', 'oldest'],
] as const)('SIGTERM, and a client that uses %s', async ([, pick]) => {
  const { proxy, load } = await start(pick);
  proxy.signal('SIGTERM');
  // By the end of the delay a balancer opens no new connections, but would still use those that it has.
  const timer = setTimeout(load.stopOpening, DELAY_MS - 200);
  onTestFinished(() => clearTimeout(timer));
  await expectIdleEndedInTime(proxy, load);
  expect((await proxy.exited).code).toBe(0);
  await expectNothingLost(load);
});

test('/-/drain, and a SIGTERM long after it', async () => {
  const { proxy, load } = await start();
  expect((await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' })).status).toBe(200);
  await expectIdleEndedInTime(proxy, load);
  await pause(DELAY_MS / 2); // it still serves, one connection a request
  await expectNothingLost(load);
  proxy.signal('SIGTERM');
  expect((await proxy.exited).code).toBe(0);
});
