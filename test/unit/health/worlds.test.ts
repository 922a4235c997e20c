// The judge is held to the truth of some thousand worlds (test/support/health). HEALTH_WORLDS: how many; HEALTH_SEED: others.
// Worlds that are rare and that a rule is for are drawn more often (RARE).
//
// Each rule was broken once, and worlds failed: this file's history has the list, with how many did and by which property.
// No world notices that suspects come from the address of a client, or more often than beside deliveries, nor that a state
// of one or two bad ones is left after eight good ones: facts.test.ts has that.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judge } from '../../../src/health/judge.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import { failuresIn, type Subject } from '../../support/health/run-world.ts';
import { worlds } from '../../support/health/worlds.ts';

const RUNS = Number(process.env.HEALTH_WORLDS ?? 100);
const SEED = Number(process.env.HEALTH_SEED ?? 20_261_201);

function createProcess(): Subject {
  const ledger = new Ledger();
  return {
    record: (record, now) => ledger.record(record, now),
    deliver: (record, now) => ledger.deliver(record, now),
    redelivered: (record, now) => ledger.redelivered(record, now),
    turnAway: (address, now, hint) => ledger.turnAway(address, now, hint),
    keepOnly: (routes, now) => ledger.keepOnly(routes, now),
    look: (facts, now) => judge({ ledger, facts, now }).advice,
  };
}

test('in every world the judge says what is true', { timeout: 600_000 }, () => {
  fc.assert(
    fc.property(worlds, (world) => {
      expect(failuresIn(world, createProcess)).toEqual([]);
    }),
    { numRuns: RUNS, seed: SEED },
  );
});
