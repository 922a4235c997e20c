// An answer of the store that makes no sense is a failure of the store: it is never taken for a twin to wait for.
import { expect } from 'vitest';
import { startAnsweringStore } from '../support/once/answering-store.ts';
import { DELIVERED, deliver } from '../support/once/events.ts';
import { REFUSED } from '../support/once/failing-store.ts';
import { test as base } from '../support/once/once.ts';
import { eventually, starting } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';

const test = base.extend('storeThat', starting(startAnsweringStore));

const isClaim = (script: string) => script.includes(`'busy'`);
const isCommit = (script: string) => script.includes(`'PX', ARGV[1])`);
const FAILURES = 'entrupy_proxy_once_store_failures_total';
/** Short, so that code that waits for a twin fails by its answer, not by the test's time limit. */
const upstream = { retryConnectFor: '10ms', responseTimeout: '5s', idleTimeout: '5s' };

/** More deliveries follow: on a busy machine the first one may find the store not connected yet. */
async function logsNoSense(proxy: RunningProxy): Promise<void> {
  let nth = 0;
  const isLogged = () => proxy.logs().some(({ problem }) => /an answer that makes no sense/.test(String(problem)));
  await eventually(async () => {
    await deliver(proxy, `more ${nth++}`);
    return isLogged();
  }, true);
}

test.concurrent.for(['+OK\r\n', '$-1\r\n'])(
  'a claim answered with %j: onStoreFailure decides',
  async (answer, { storeThat, deliverer }) => {
    const { url: store } = await storeThat((script) => (isClaim(script) ? answer : ':1\r\n'));
    const [going, refusing] = await Promise.all([
      deliverer({ once: { store }, upstream }),
      deliverer({ once: { store, onStoreFailure: 'refuse' }, upstream }),
    ]);
    expect([await deliver(going, 'e'), await deliver(refusing, 'e')]).toEqual([DELIVERED, REFUSED]);
    expect((await refusing.metrics()).get(FAILURES)).toBe(1);
    await logsNoSense(going);
    await logsNoSense(refusing);
  },
);

test.concurrent('a server that answers everything alike is never available', async ({ storeThat, deliverer }) => {
  const { url: store } = await storeThat(() => '+OK\r\n');
  const refusing = await deliverer({ once: { store, onStoreFailure: 'refuse' }, upstream });
  expect(await deliver(refusing, 'e')).toEqual(REFUSED);
  // On a busy machine the store may not be connected yet.
  const problem = async () => String((await refusing.status()).once?.problem);
  await eventually(async () => /an answer that makes no sense/.test(await problem()), true);
});

test.concurrent('a commit answered with nonsense is a failure of the store, so a copy may be delivered again', async ({
  storeThat,
  deliverer,
}) => {
  const { url: store } = await storeThat((script) => {
    if (isClaim(script)) return '+first\r\n';
    return isCommit(script) ? '+OK\r\n' : ':1\r\n';
  });
  const going = await deliverer({ once: { store }, upstream });
  expect(await deliver(going, 'e')).toEqual(DELIVERED);
  await eventually(async () => ((await going.metrics()).get(FAILURES) ?? 0) >= 1, true);
  expect(await deliver(going, 'e')).toEqual(DELIVERED);
  await logsNoSense(going);
});
