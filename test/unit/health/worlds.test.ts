// The judge is held to the truth of some thousand worlds (test/support/health). HEALTH_WORLDS: how many; HEALTH_SEED: others.
// Worlds that are rare and that a rule is for are drawn more often (RARE).
//
// Each rule was broken once; of 1,500 worlds so many then failed, by the property that told:
//
//   the only ones so far are bad: failed               16   1 no false all-clear
//   two bad ones in a row, none good since            165   1
//   10 s before anything fails: at once               480   4 steady
//   10 s before anything fails: a minute              382   1
//   failed from a fifth on: a half                     58   1
//   failed from a fifth on: a hundredth                82   6 it ends
//   three bad ones at least: ten                       69   1
//   three bad ones at least: one                       15   6
//   the last minute, else the last 20: the minute       8   6
//   the last minute, else the last 20: the 20          49   1, 6
//   the minute before the last outcome: before now     17   6
//   long after it, the last 20: that minute            20   6
//   left later than it is reached                       4   1, 4
//   left below a twentieth: never                      22   6
//   left by the last quarter, else the 60: the 60      10   6
//   an episode ends by good ones: by one              118   1
//   an episode ends by good ones: from four on          2   1
//   an episode ends by good ones: never                49   6, 4
//   an episode lasts a minute                          39   1
//   windows begin with the episode                      2   1
//   what is old is not failed                         236   7 what is old
//   a day after the last bad one: the last outcome     35   2 no false alarm
//   what is old: after an hour                         50   1, 4
//   losses are told for a day                         530   1
//   the commonest diagnosis of the last 16: the last   25   3 the right cause
//   what is stored is not lost                         25   6
//   taken at a later sending is good                   18   6
//   an equal fresh one ends what is stored             17   6
//   a duplicate proves nothing                         23   1
//   a probe counts nowhere                             75   1
//   a signed refusal with the look counts             523   1
//   what a signature of ours proves is a delivery      90   1
//   a signature in another header counts                3   1
//   what was sent to no route has its look's route     65   6, 4
//   what was turned away early is judged again          1   1
//   of how many is told: by when they came             43   9
//   an app that answers again is not down               9   3
//   each cause tells its own number: the route's      232   9
//   the door: others do not                            22   2
//   early refusals are judged again                    34   1
//   early refusals are told                            64   1
//   early refusals are told after a day, too            1   1
//   three early signed ones are failed                 31   1
//   strangers are notes                               186   2
//   what report mode lets pass is no outcome           17   2
//   a reload keeps losses                              55   1
//   a route that is gone has no state                   4   4
//   a reload that removes every route begins anew       4   1
//   what was in flight over a reload opens no route    30   4
//   what was in flight: its look has no route then      6   1
//   not "all is well": signed ones refused, none taken 153   1
//   the end of an episode ends its state               16   4, 6
//   a label is a route that is configured               2   8
//
// And of 600:
//
//   a delivery has the look of an accepted one          57   9
//   a delivery has the address of an accepted one       31   9
//   another version is no other look                     8   1
//   other signed ones are told                          99   1
//   of heads that were not read a large one counts      27   9
//   deliveries that stopped: suspects are told           3   1
//   deliveries that stopped: those in their place        1   1
//   deliveries that stopped: over their connection       2   1
//   deliveries that stopped: 3 × their longest pause     7   2
//   the door: senders' addresses count                  16   1
//
// No world notices that suspects come from the address of a client, or more often than beside deliveries, nor that a state
// of one or two bad ones is left after eight good ones: facts.test.ts has that.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judge } from '../../../src/health/judge.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import { failuresIn, type Subject } from '../../support/health/run-world.ts';
import { worlds } from '../../support/health/worlds.ts';

const RUNS = Number(process.env.HEALTH_WORLDS ?? 200);
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
