// The rules on every spelling of the data file, where other routes are in force than on the wire
// (test/conformance/cases/targets.ts).
import { expect, test } from 'vitest';
import { pathOf } from '../../../src/core/request-head.ts';
import { SPELLINGS } from '../../testdata/spellings.ts';
import { NOW, reject, table, verify } from './fixtures.ts';

const STRICT = table([verify('/notify')], 'verify');
const REJECTING = table([reject('/notify')]);

test('spellings that an open proxy verifies are rejected on a reject route', () => {
  for (const { target } of SPELLINGS.filter(({ treatment }) => treatment === 'verified')) {
    expect([target, REJECTING.routeFor(pathOf(target), NOW)?.action]).toEqual([target, 'reject']);
  }
});

test('with unmatched: verify nothing is open', () => {
  for (const { target, treatment } of SPELLINGS) {
    const action = STRICT.routeFor(pathOf(target), NOW)?.action ?? 'refused';
    expect([target, action === 'refused' ? treatment : action]).toEqual([
      target,
      action === 'refused' ? action : 'verify',
    ]);
  }
});
