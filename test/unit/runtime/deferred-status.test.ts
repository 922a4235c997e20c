// What the snapshot tells of deferred deliveries: the soonest first, and which secret signs how many, whatever its id is
// by now.
import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import type { Deferred } from '../../../src/redelivery/deferred.ts';
import type { Redelivery } from '../../../src/redelivery/redelivery.ts';
import { Schedule } from '../../../src/redelivery/schedule.ts';
import { deferredStatus, SignedWith } from '../../../src/runtime/deferred-status.ts';

const keyOf = (text: string) => createSecretKey(Buffer.from(text));
const { config } = parseConfig({ file: null, bytes: null }, { WEBHOOK_ENDPOINT_SECRET_KEY: 'x'.repeat(32) });

function redeliveryOf(entries: readonly Partial<Deferred>[]): Redelivery {
  const schedule = new Schedule();
  for (const [index, entry] of entries.entries()) {
    schedule.add({
      ...{ id: `id-${index}`, bytes: 4096, at: index + 1, checked: true, state: 'waiting', due: 0, busy: false },
      ...{
        attempts: 0,
        failure: '503',
        route: '/notify',
        secret: 'current',
        key: keyOf('one'),
        asked: false,
        claim: null,
        ended: null,
        unwritten: null,
      },
      ...entry,
    });
  }
  // The rest of it is not asked.
  return {
    list: () => schedule.all(),
    totals: () => schedule.totals(),
    failure: null,
  } as unknown as Redelivery;
}

test('those with the soonest turn come first, those without one last, and fifty at most', () => {
  const status = deferredStatus(
    redeliveryOf([
      { state: 'stopped', due: 5 },
      { due: 300 },
      { due: 200, checked: false },
      { state: 'unverified', due: Number.POSITIVE_INFINITY },
    ]),
    config,
  );
  expect(status).toMatchObject({ waiting: 2, stopped: 1, unverified: 1, unread: 1, bytes: 4 * 4096, oldest: 2 });
  expect(status?.deliveries.map(({ id, nextTry }) => [id, nextTry])).toEqual([
    ['id-2', 200],
    ['id-1', 300],
    ['id-0', null],
    ['id-3', null],
  ]);
  expect(status?.sends).toBe(false);
  const many = deferredStatus(redeliveryOf(Array.from({ length: 60 }, () => ({}))), config);
  expect([many?.waiting, many?.deliveries.length]).toEqual([60, 50]);
  expect(deferredStatus(null, config)).toBeNull();
});

test('a secret signs what its value signs, under any id, read or read again; unverified ones count for none', () => {
  const signed = new SignedWith(
    redeliveryOf([
      { key: keyOf('one') },
      { key: keyOf('one'), secret: 'other', state: 'stopped' },
      { key: keyOf('two') },
      { key: keyOf('two'), state: 'unverified' },
      { key: null },
    ]),
  );
  expect([signed.of(keyOf('one')), signed.of(keyOf('two')), signed.of(keyOf('three')), signed.of(null)]).toEqual([
    2, 1, 0, 0,
  ]);
  expect(new SignedWith(null).of(keyOf('one'))).toBe(0);
});
