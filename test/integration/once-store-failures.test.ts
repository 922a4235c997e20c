// No delivery hangs on the store of delivered events.
// The store of `once` is stuck, goes away or refuses our password, and comes back. onStoreFailure decides immediately,
// no password is printed, and events that were claimed before the failure are not repeated when the store is back.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { replaceFile } from '../support/machine/files.ts';
import { DELIVERED, DUPLICATE, deliver, give, held, OK, send } from '../support/once/events.ts';
import { BACK, FAILS, fails, isBack, PASSWORD, REFUSED } from '../support/once/failing-store.ts';
import { inFlight, keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, type RedisServer, SERVERS } from '../support/once/redis.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';

const MANY = 40;

const failures = async (proxy: RunningProxy) =>
  (await proxy.metrics()).get('entrupy_proxy_once_store_failures_total') ?? Number.NaN;
/** Counts from now on: on a busy machine the first event after a start may find the store not connected yet. */
const failuresSince = async (proxy: RunningProxy) => {
  const before = await failures(proxy);
  return async () => (await failures(proxy)) - before;
};

/** The number of events that the server itself has as delivered. */
async function remembered(server: RedisServer): Promise<number> {
  const keys = await keysOf(server);
  const values = await Promise.all(keys.map((key) => server.ask('GET', key)));
  return values.filter((value) => value === 'delivered').length;
}

describe.skipIf(!HAS_SERVERS).concurrent.each(SERVERS)('with %s', (program) => {
  test('the password is in a file, and a corrected one needs no restart', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(program, { password: PASSWORD });
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`);
    const right = await remembering(await deliverer({ once: { store, passwordFile } }));
    expect([await deliver(right, 'e'), await deliver(right, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    const sinceStart = await failuresSince(right);
    expect([await deliver(right, 'next'), await deliver(right, 'next')]).toEqual([DELIVERED, DUPLICATE]);
    expect(await sinceStart()).toBe(0);

    await writeFile(passwordFile, `not-${PASSWORD}`);
    const wrong = await deliverer({ once: { store, passwordFile } });
    expect(await fails(wrong)).toMatchObject({
      level: 'error',
      on_failure: 'forward',
      problem: expect.stringMatching(/WRONGPASS/),
    });
    expect([await deliver(wrong, 'other'), await failures(wrong)]).toEqual([DELIVERED, 2]); // neither leased nor recorded
    await replaceFile(passwordFile, `${PASSWORD}\r\n`);
    await isBack(wrong);
    expect(await deliver(wrong, 'e')).toEqual(DUPLICATE);
    expect(right.output() + wrong.output()).not.toContain(PASSWORD);
  });

  test('a stuck server delays the deliveries of one second and no later ones', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const [going, refusing] = await Promise.all([
      deliverer({ once }),
      deliverer({ once: { ...once, onStoreFailure: 'refuse' } }),
    ]);
    for (const proxy of [going, refusing]) await remembering(proxy);
    expect(await deliver(going, 'before')).toEqual(DELIVERED);
    server.pause();
    const leaver = send(going, 'left');
    await inFlight(going, 1);
    leaver.leave();
    const first = await Promise.all([deliver(going, 'e'), deliver(refusing, 'refused')]);
    expect(first).toEqual([DELIVERED, REFUSED]);
    events.script('failed', give(500));
    const later = await Promise.all([
      deliver(going, 'later'),
      deliver(going, 'e'),
      deliver(going, 'failed'),
      deliver(refusing, 'refused'),
    ]);
    const failed = { status: 500, text: OK };
    expect(later).toEqual([DELIVERED, DELIVERED, failed, REFUSED]);
    // At a second each, the test would time out.
    for (let nth = 0; nth < MANY; nth++) expect(await deliver(going, `one of many ${nth}`)).toEqual(DELIVERED);
    server.resume();
    await Promise.all([isBack(going), isBack(refusing)]);
    expect(await deliver(refusing, 'before')).toEqual(DUPLICATE);
    expect(await deliver(refusing, 'failed')).toEqual(DELIVERED);
    expect([await deliver(going, 'new'), await deliver(refusing, 'new')]).toEqual([DELIVERED, DUPLICATE]);
    expect(events.times('left')).toBe(0);
  });

  test('a server that goes away and comes back', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const [going, refusing] = await Promise.all([
      deliverer({ once }),
      deliverer({ once: { ...once, onStoreFailure: 'refuse' } }),
    ]);
    for (const proxy of [going, refusing]) await remembering(proxy);
    const { act, answer } = held();
    events.script('under-way', act);
    const underWay = send(going, 'under-way');
    await events.reached('under-way');
    const [ofGoing, ofRefusing] = await Promise.all([failuresSince(going), failuresSince(refusing)]);
    await server.kill();
    expect(await Promise.all([fails(going), fails(refusing)])).toEqual([
      expect.objectContaining({ on_failure: 'forward' }),
      expect.objectContaining({ on_failure: 'refuse' }),
    ]);
    expect([await deliver(going, 'e'), await deliver(going, 'e')]).toEqual([DELIVERED, DELIVERED]);
    expect(await deliver(refusing, 'other')).toEqual(REFUSED);
    expect([await ofRefusing(), await ofGoing()]).toEqual([1, 4]);
    events.script('failed', give(500));
    expect(await deliver(going, 'failed')).toEqual({ status: 500, text: OK });
    expect(await ofGoing()).toBe(5); // never claimed, so there is nothing to release
    await server.start();
    await Promise.all([isBack(going), isBack(refusing)]);
    expect([await deliver(refusing, 'e'), await remembered(server)]).toEqual([DELIVERED, 1]); // not known before
    expect([await deliver(refusing, 'other'), await deliver(going, 'other')]).toEqual([DELIVERED, DUPLICATE]);
    // Its lease was lost with the server, and was taken again.
    const twin = send(refusing, 'under-way');
    await inFlight(refusing, 1);
    answer(200);
    expect([await underWay.given, await twin.given]).toEqual([DELIVERED, DUPLICATE]);
    expect(['e', 'under-way', 'other'].map(events.times)).toEqual([3, 1, 1]);
    // An outage has its start and its end in the log, and nothing in between.
    for (const { logs } of [going, refusing]) {
      const said = logs().flatMap(({ msg }) => (msg === FAILS || msg === BACK ? [msg] : []));
      expect(said).toEqual(said.map((_, at) => (at % 2 === 0 ? FAILS : BACK)));
    }
  });
});
