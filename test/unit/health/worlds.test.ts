// The judge is held to the truth of some thousand worlds (test/support/health). HEALTH_WORLDS: how many; HEALTH_SEED: others.
// Worlds that are rare and that a rule is for are drawn more often (RARE).
// ones that follow look like the end of both.
//
// Each rule was broken once; of 1,500 worlds so many then failed, by the property that told:
//
//   the only ones so far are bad: failed          31   1 no false all-clear
//   two bad ones in a row, none good since       180   1
//   10 s before anything fails: at once          351   4 steady
//   10 s before anything fails: a minute         114   1
//   failed from a fifth on: a half                47   1
//   failed from a fifth on: a hundredth           16   4, 6 it ends
//   three bad ones at least: ten                  69   1
//   the last minute, else the last 20: minute    105   1
//   left later than it is reached                 22   4
//   left below a twentieth: never                  2   6
//   an episode ends by good ones: by one         136   1
//   an episode ends by good ones: never           53   6
//   an episode lasts a minute                      2   1
//   a loss stays for a day                       202   1
//   the commonest diagnosis of the last 16        47   3 the right cause
//   what is stored is not lost                     4   6
//   a duplicate proves nothing                    30   1
//   a probe counts nowhere                        83   1
//   a signed refusal needs the look              377   2 no false alarm
//   a signed refusal with the look counts        483   1
//   what a signature of ours proves is a delivery  1+  1 (told by the 22nd world)
//   an unsigned one needs the address             28   2
//   an unsigned one needs the look                33   2
//   a signature in another header counts           7   1
//   what is refused elsewhere has its look's route 14  2, 6
//   the door: senders' addresses count            33   1
//   the door: others do not                       22   2
//   early refusals are judged again               39   1
//   three early signed ones are failed            29   1
//   strangers are notes                          175   2
//   what report mode lets pass is no outcome       6   2
//
// No world failed without these: the first bad one is not counted in the share; the last minute where it holds 20 (the last
// 20 alone told the same); the last quarter of an hour in place of the last 60 where a state is left; windows that begin
// with the episode; at most six good ones since the last bad one where failed is reached; taken at a later sending is good.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judge } from '../../../src/health/judge.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import type { OutcomeState } from '../../../src/health/series.ts';
import { failuresIn, type Subject } from '../../support/health/run-world.ts';
import { worlds } from '../../support/health/worlds.ts';

const RUNS = Number(process.env.HEALTH_WORLDS ?? 1500);
const SEED = Number(process.env.HEALTH_SEED ?? 20_261_201);

function createProcess(): Subject {
  const ledger = new Ledger();
  let before: ReadonlyMap<string, OutcomeState> = new Map();
  return {
    record: (record, now) => ledger.record(record, now),
    deliver: (record, now) => ledger.deliver(record, now),
    redelivered: (record, now) => ledger.redelivered(record, now),
    turnAway: (address, now) => ledger.turnAway(address, now),
    keepOnly: (routes, now) => ledger.keepOnly(routes, now),
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
    { numRuns: RUNS, seed: SEED },
  );
});
