// What comes to the judge of a test, told as a list.
import { vi } from 'vitest';
import type { Hint } from '../../../src/core/hint.ts';
import type { RequestRecord, SentAgain } from '../../../src/core/request-record.ts';
import { RouteTable } from '../../../src/core/routes.ts';
import { factsOf, judged, settle } from '../fixtures.ts';

/**
 * A request, a stored delivery that was sent again, a connection that was turned away, a reload, somebody who looks at the
 * judgement, or so many seconds in which nothing comes.
 */
export type Coming =
  | RequestRecord
  | SentAgain
  | { readonly address: string; readonly hint?: Hint }
  | RouteTable
  | 'look'
  | number;

/** So many of these, each another event. */
export const times = (amount: number, ...came: readonly Coming[]): readonly Coming[] =>
  Array.from({ length: amount }, () => came).flat();

/** The judgement once all of it has come. */
export const judgedAfter = (came: readonly Coming[], facts: Parameters<typeof judged>[0] = {}) =>
  judged(facts, (health) => {
    for (const one of came) {
      if (typeof one === 'number') vi.advanceTimersByTime(1000 * one);
      else if (one === 'look') health.judge(factsOf(facts));
      else if ('method' in one) settle(health, one);
      else if (one instanceof RouteTable) health.ledger.keepOnly(one);
      else if ('address' in one) health.ledger.turnAway(one.address, performance.now(), one.hint);
      else health.sentAgain(one);
    }
  });
