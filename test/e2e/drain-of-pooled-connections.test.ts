// A drain loses no request on a pooled connection.
// Load balancers keep connections for a long time and use each now and then. A proxy that closes them as it exits meets
// requests in transit: 20 of 3,346 were lost that way. Connections must end earlier, while new ones are still served.
import { expect, onTestFinished, test, vi } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { startPooledLoad } from '../support/load/pooled-load.ts';
import { pause } from '../support/load/under-load.ts';
import { testDirectory } from '../support/machine/files.ts';
import { builtProgram } from '../support/proxy/program.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const REQUEST = delivery('{"event":1}', SECRET);
const CONNECTIONS = 300;
const DELAY_MS = 5000;

test.for([
  { how: 'SIGTERM', by: 'a client that uses any of its connections', pick: 'random', tls: false },
  // That one must not be closed just then.
  { how: 'SIGTERM', by: 'a client that uses the one that was idle longest', pick: 'oldest', tls: false },
  { how: 'SIGTERM', by: 'a client that speaks TLS', pick: 'random', tls: true },
  { how: '/-/drain', by: 'a client that uses any of its connections', pick: 'random', tls: false },
] as const)('$how loses no request by $by', async ({ how, pick, tls }) => {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const identity = loopbackIdentity(await testDirectory());
  const proxy = await startProxy({
    program: builtProgram(),
    config: {
      listen: tls ? { tls: identity.pair } : {},
      upstream: { url: upstream.url },
      routes: [{ path: '/notify' }],
      shutdown: { delay: `${DELAY_MS}ms`, grace: '5s' },
    },
    secrets: { current: SECRET },
  });
  onTestFinished(async () => void (await proxy.stop()));
  const to = { port: proxy.port, ...(tls && { ca: identity.ca }) };
  const load = await startPooledLoad({ to, request: REQUEST, connections: CONNECTIONS, rate: 40, pick });
  onTestFinished(async () => console.log(JSON.stringify(await load.stop())));
  await pause(1000);
  expect(load.idle()).toBeGreaterThan(CONNECTIONS - 10);

  if (how === 'SIGTERM') proxy.signal(how);
  else expect((await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' })).status).toBe(200);
  // By the end of the delay a balancer opens no new connections, but would still use those that it has.
  const timer = how === 'SIGTERM' ? setTimeout(load.stopOpening, DELAY_MS - 200) : undefined;
  onTestFinished(() => clearTimeout(timer));
  // The last idle connection ends while a new one is still served, with Connection: close.
  await vi.waitFor(() => expect(load.idle()).toBe(0), { timeout: 2 * DELAY_MS, interval: 10 });
  const last = await sendTo(to, REQUEST);
  const { status, lines } = await last.response();
  expect([status, lines.includes('Connection: close')]).toEqual([200, true]);
  last.destroy();
  if (how === '/-/drain') {
    await pause(DELAY_MS / 2); // it still serves, one connection a request
    await load.stop();
    proxy.signal('SIGTERM');
  }
  expect((await proxy.exited).code).toBe(0);
  const { ends, endedIdle } = await load.stop();
  expect(Object.keys(ends)).toEqual(['200']);
  expect(endedIdle).toBeGreaterThan(0);
});
