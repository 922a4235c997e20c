// The judge is held to the truth of some thousand worlds (test/support/health). HEALTH_WORLDS: how many.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judge } from '../../../src/health/judge.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import type { OutcomeState } from '../../../src/health/outcomes.ts';
import { failuresIn, type Subject } from '../../support/health/run-world.ts';
import { worlds } from '../../support/health/worlds.ts';

const RUNS = Number(process.env.HEALTH_WORLDS ?? 1500);

function createProcess(): Subject {
  const ledger = new Ledger();
  let before: ReadonlyMap<string, OutcomeState> = new Map();
  return {
    record: (record, now) => ledger.record(record, now),
    deliver: (record, now) => ledger.deliver(record, now),
    redelivered: (record, now) => ledger.redelivered(record, now),
    turnAway: (address, now) => ledger.turnAway(address, now),
    look(facts, now) {
      const { advice, states } = judge({ ledger, facts, now, before });
      before = states;
      return advice;
    },
  };
}

test('in every world the judge says what is true', { timeout: 600_000 }, () => {
  fc.assert(
    fc.property(worlds, (world) => {
      expect(failuresIn(world, createProcess)).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
