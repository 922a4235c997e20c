// Processes that share deferred deliveries in one Redis, and that are stopped or killed while they hold one: the lease
// ends, another process gets the delivery, and the first one, woken, changes nothing of it.
import { describe, expect, onTestFinished, test } from 'vitest';
import { HAS_SERVERS, REDIS_OR_VALKEY, startRedis } from '../support/once/redis.ts';
import { startOtherProcess } from '../support/redelivery/other-process.ts';
import { eventKey, idsOf, NAME, openReady } from '../support/redelivery/redis-store.ts';
import { claimedRecord, someRecord } from '../support/redelivery/store-contract.ts';

const LONGER_THAN_A_LEASE = { timeout: 120_000, interval: 200 };

describe.skipIf(!HAS_SERVERS)('two processes and one Redis', () => {
  test('one is stopped beyond its lease, another is killed', async () => {
    const server = await startRedis(REDIS_OR_VALKEY);
    onTestFinished(() => server.kill());
    const store = await openReady(server.url);
    onTestFinished(() => store.close());
    const [stopped, killed] = [startOtherProcess(server.url, NAME), startOtherProcess(server.url, NAME)];
    for (const each of [stopped, killed]) onTestFinished(() => each.kill());
    const [lost = '', kept = '', ofKilled = ''] = idsOf(3, 'lease');
    for (const id of [lost, kept, ofKilled]) await store.add(id, someRecord(), 'nothing');
    for (const id of [lost, kept]) expect(await stopped.ask('claim', id)).toBe('claimed');
    expect(await killed.ask('claim', ofKilled)).toBe('claimed');
    const claims = async (...ids: readonly string[]) =>
      Promise.all(ids.map(async (id) => (await store.claim(id)).kind));
    expect(await claims(lost, kept, ofKilled)).toEqual(['busy', 'busy', 'busy']);

    const until = async () => Number(await server.ask('HGET', eventKey(kept), 'until'));
    const now = async () => Number(((await server.ask('TIME')) as string[])[0]) * 1000;
    stopped.stop();
    await killed.kill();
    expect(await until()).toBeLessThanOrEqual((await now()) + 31_000);
    await expect.poll(() => claims(lost, ofKilled), LONGER_THAN_A_LEASE).toContain('claimed');
    await expect.poll(async () => (await until()) < (await now()), LONGER_THAN_A_LEASE).toBe(true);
    await expect.poll(() => claims(lost, ofKilled), LONGER_THAN_A_LEASE).toEqual(['claimed', 'claimed']);

    stopped.resume();
    expect(await stopped.ask('remove', lost)).toBe(false);
    expect(await stopped.ask('claim', lost)).toBe('busy');
    await store.release((await claimedRecord(store, lost)).claim, null);
    expect(await store.claim(lost)).toMatchObject({ kind: 'claimed', progress: null });
    // Nobody claimed it meanwhile, so what was delivered need not be sent again.
    expect(await stopped.ask('remove', kept)).toBe(true);
    for (const id of [lost, ofKilled]) {
      expect(await store.remove((await claimedRecord(store, id)).claim)).toBe(true);
    }
    expect(await stopped.ask('claim', lost)).toBe('removed');
    expect(await store.list()).toEqual({ entries: [], dropped: [] });
  });
});
