// A store of delivered events that cannot be used is reported.
// A store of `once` that lacks its password or its certificate, or is not connected yet. The log names the problem, and
// deliveries go on as onStoreFailure says. An answer that makes no sense is a failure of the store, too: it is never taken
// for a twin to wait for.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { startAnsweringStore } from '../support/once/answering-store.ts';
import { DELIVERED, DUPLICATE, deliver } from '../support/once/events.ts';
import { fails, isBack, PASSWORD, REFUSED } from '../support/once/failing-store.ts';
import { remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { eventually, starting } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';

describe.skipIf(!HAS_SERVERS).concurrent('with a server that is not reachable, or not yet', () => {
  test('a missing password is reported at start, on either side', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const passwordFile = join(directory, 'absent');
    const [none, absent] = await Promise.all([
      deliverer({ once: { store } }),
      deliverer({ once: { store, passwordFile, onStoreFailure: 'refuse' } }),
    ]);
    expect(await fails(none)).toMatchObject({ problem: expect.stringMatching(/NOAUTH/) });
    expect(await fails(absent)).toMatchObject({
      problem: `once.passwordFile ${passwordFile}: it does not exist`,
    });
    expect([await deliver(none, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, REFUSED]);
    await writeFile(passwordFile, PASSWORD);
    await isBack(absent);
    expect([await deliver(absent, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, DUPLICATE]);
  });

  test('a pipe or an empty file as the password is told, blocks nothing', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const [pipe, empty] = [join(directory, 'pipe'), join(directory, 'empty')];
    execFileSync('mkfifo', [pipe]);
    await writeFile(empty, '');
    for (const [passwordFile, problem] of [
      [pipe, 'it is not a regular file'],
      [empty, 'it is empty'],
    ] as const) {
      const proxy = await deliverer({ once: { store, passwordFile } });
      expect(await fails(proxy)).toMatchObject({ problem: `once.passwordFile ${passwordFile}: ${problem}` });
      expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    }
  });

  test('TLS with a private CA', async ({ deliverer, redis, directory }) => {
    const authority = createAuthority(directory, 'ca');
    const { url: store } = await redis(REDIS_OR_VALKEY, { tls: authority.issue('store', { names: ['IP:127.0.0.1'] }) });
    const [trusting, other] = await Promise.all([
      deliverer({ once: { store }, env: { NODE_EXTRA_CA_CERTS: authority.caFile } }),
      deliverer({ once: { store, onStoreFailure: 'refuse' } }),
    ]);
    await remembering(trusting);
    expect([await deliver(trusting, 'e'), await deliver(trusting, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    expect(trusting.output()).not.toMatch(/certificate/);
    expect(await fails(other)).toMatchObject({ problem: expect.stringMatching(/certificate/) });
    expect(await deliver(other, 'other')).toEqual(REFUSED);
  });

  test('the first event after a start, or a reload that adds `once`, is looked up', async ({ deliverer, redis }) => {
    const once = { store: (await redis(REDIS_OR_VALKEY)).url };
    const known = await remembering(await deliverer({ once }));
    expect(await deliver(known, 'e')).toEqual(DELIVERED);
    expect(await deliver(await deliverer({ once }), 'e')).toEqual(DUPLICATE);
    const late = await deliverer({ once, route: { maxBody: '1KiB' } });
    await reload(late, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1once: 1h\n'));
    expect(await deliver(late, 'e')).toEqual(DUPLICATE);
  });
});

const answering = test.extend('storeThat', starting(startAnsweringStore));

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

answering.concurrent.for(['+OK\r\n', '$-1\r\n'])(
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

answering.concurrent('a server that answers everything alike is never available', async ({ storeThat, deliverer }) => {
  const { url: store } = await storeThat(() => '+OK\r\n');
  const refusing = await deliverer({ once: { store, onStoreFailure: 'refuse' }, upstream });
  expect(await deliver(refusing, 'e')).toEqual(REFUSED);
  // On a busy machine the store may not be connected yet.
  const problem = async () => String((await refusing.status()).once?.problem);
  await eventually(async () => /an answer that makes no sense/.test(await problem()), true);
});

answering.concurrent(
  'a commit answered with nonsense is a failure of the store, so a copy may be delivered again',
  async ({ storeThat, deliverer }) => {
    const { url: store } = await storeThat((script) => {
      if (isClaim(script)) return '+first\r\n';
      return isCommit(script) ? '+OK\r\n' : ':1\r\n';
    });
    const going = await deliverer({ once: { store }, upstream });
    expect(await deliver(going, 'e')).toEqual(DELIVERED);
    await eventually(async () => ((await going.metrics()).get(FAILURES) ?? 0) >= 1, true);
    expect(await deliver(going, 'e')).toEqual(DELIVERED);
    await logsNoSense(going);
  },
);
