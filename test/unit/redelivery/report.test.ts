// The log of a store that fails and works again: it must not end with a word that is not true.
import { expect, test } from 'vitest';
import { Report } from '../../../src/redelivery/report.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';

function reporting() {
  const told: string[] = [];
  const report = new Report({ tell: (_level, message) => told.push(message), onResult: () => {} });
  return { report, told };
}

test('that a full disk takes deliveries again is told, once', () => {
  const { report, told } = reporting();
  report.passes('failing', new Error('less than 8 MiB are free on its file system')); // it works but for additions
  expect(report.problem?.kind).toBe('failing');
  report.stored();
  report.stored();
  expect([told, report.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what was left out of the log does not make "fails" its last word', () => {
  const { report, told } = reporting();
  for (let nth = 0; nth < 3; nth++) {
    report.set('EIO');
    report.passes('failing', new Error('EIO'));
    report.set(null);
  }
  report.flush();
  expect(told.slice(0, 2)).toEqual([FAILS, WORKS]);
  expect(told.at(-1)).toBe(WORKS);
  report.passes('slow', 'the store did not answer within 1000 ms');
  report.passes('slow', 'the store did not answer within 1000 ms');
  report.stored();
  report.flush();
  expect(told.slice(4)).toEqual([FAILS, WORKS, FAILS, WORKS]);
});

test('after a lock the store has failed, and works, until a delivery is stored', () => {
  const { report, told } = reporting();
  report.set('another program keeps its file locked');
  report.passes('failing', new Error('another program keeps its file locked'));
  expect(report.problem?.kind).toBe('failing');
  report.set(null);
  expect(report.problem).toMatchObject({ kind: 'failed', why: 'another program keeps its file locked' });
  report.stored();
  expect([told, report.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what the store lost is told, counted and remembered', () => {
  const { report, told } = reporting();
  report.lost('its file was removed');
  expect(told).toEqual(['the store of deferred deliveries has lost what waited in it']);
  expect([report.failures, report.loss?.problem]).toEqual([1, 'its file was removed']);
});
