// The rules on every spelling of the data file: what the gate refuses, what is read as `/notify`, what stays open.
import { describe, expect, test } from 'vitest';
import { refusedByGate } from '../../../src/core/gate-rules.ts';
import { pathOf } from '../../../src/core/request-head.ts';
import { SPELLINGS, type SpellingTreatment } from '../../testdata/spellings.ts';
import { head, NOW, reject, table, verify } from './fixtures.ts';

const POLICY = table([verify('/notify')]);
const STRICT = table([verify('/notify')], 'verify');
const REJECTING = table([reject('/notify')]);

function treatmentOf(target: string): SpellingTreatment {
  const route = POLICY.routeFor(pathOf(target), NOW);
  if (route === null || refusedByGate(head({ target })) !== null) return 'refused';
  return route.action === 'verify' ? 'verified' : 'open';
}

test('there are at least a hundred, all different', () => {
  expect(new Set(SPELLINGS.map(({ target }) => target)).size).toBe(SPELLINGS.length);
  expect(SPELLINGS.length).toBeGreaterThan(100);
});

describe.each(['verified', 'refused', 'open'] as const)('%s', (treatment) => {
  const rows = SPELLINGS.filter((row) => row.treatment === treatment);

  test.each(rows.map(({ target, because }) => [JSON.stringify(target), because, target]))(
    '%s: %s',
    (_n, _b, target) => {
      expect(treatmentOf(target)).toBe(treatment);
    },
  );
});

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
