// Who is known to send deliveries, and what a reload, a probe or a pause changes in that.
import { expect, test, vi } from 'vitest';
import { PROBE_AGENT } from '../../../src/core/permit.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { tableOf } from '../core/fixtures.ts';
import { accepted, hint, NOTIFY, NOW, refused } from '../fixtures.ts';
import { type Coming, judgedAfter, times } from './fixtures.ts';

vi.useFakeTimers({ now: NOW });

const from = (address: string) => ({ client: address, connectionAddress: address });
const unsigned = { reason: 'missing_signature', signed: false, event: '' } as const;
const large = refused({
  ...{ ...unsigned, reason: 'header_too_large', rule: 'head-size', status: 431, userAgent: '', contentType: '' },
  ...{ method: '', path: '', route: 'unmatched' },
});
const on = (path: string, changes: Partial<RequestRecord> = {}) => accepted({ route: path, path, ...changes });
const scan = (path: string, changes: Partial<RequestRecord> = {}) =>
  refused({ route: path, path, userAgent: 'scanner/1', ...from('198.51.100.3'), ...changes });
/** A day and three hours of one each quarter of an hour. */
const known = (...each: readonly Coming[]) => times(108, ...each, 900);

const headOf = (came: readonly Coming[], ...paths: readonly string[]) => {
  const { advice } = judgedAfter(came, { routes: paths.map((path) => ({ ...NOTIFY, path })) });
  return [advice[0]?.state, advice[0]?.id, advice[0]?.route];
};

test('a proof in our own probe makes no sender of the host from which it came', () => {
  const host = from('192.0.2.50');
  const probe = refused({ ...host, userAgent: PROBE_AGENT, hint: hint('other-route-secret', 'of another route') });
  for (const one of [{ address: host.client }, { ...large, ...host }]) {
    const { lost } = judgedAfter([...times(30, accepted(), 60), probe, ...times(3, one, 5), 11]);
    expect(lost).toMatchObject({ refused: 0, turnedAway: 0 });
  }
});

test('where a reload removes all routes on which deliveries came, all is as after a start: others may send to the new ones', () => {
  const trial = times(5, on('/test', { userAgent: 'curl/8', ...from('192.0.2.9') }), 60);
  const wrong = times(30, refused(), 60);
  const came = [tableOf(['/test'], 'reject'), ...trial, tableOf(['/notify'], 'reject'), 600, ...wrong];
  expect(headOf(came, '/notify')).toEqual(['failed', 'another-secret', '/notify']);
  expect(judgedAfter(came).advice[0]?.message).toMatch(
    /^No fresh delivery was accepted since a reload changed its route/,
  );
});

test('what strangers sent before such a reload makes no route failed after it', () => {
  const before = [tableOf(['/test'], 'reject'), ...times(5, on('/test'), 60), ...times(3, scan('/test'), 60)];
  expect(headOf([...before, tableOf(['/notify'], 'reject')], '/notify')[0]).toBe('warning');
});

test('what is lost of a sender whose route a reload has removed is told, as of paths that no route matches', () => {
  const sender = from('192.0.2.9');
  const came = [tableOf(['/a', '/b'], 'reject'), on('/a', sender), on('/b'), tableOf(['/b'], 'reject')];
  const lost = times(3, { ...large, ...sender }, 5);
  expect(headOf([...came, ...lost, 11], '/b')).toEqual(['failed', 'large-head', 'unmatched']);
});

test('that deliveries have stopped is over once a reload has removed their route, and others are taken', () => {
  const stopped = [tableOf(['/a'], 'reject'), ...known(on('/a')), ...times(6, scan('/a', unsigned), 3600)];
  expect(headOf(stopped, '/a')).toEqual(['warning', 'signature-dropped', '/a']);
  const moved = [...stopped, tableOf(['/b'], 'reject'), ...known(on('/b'))];
  expect(headOf(moved, '/b')).toEqual(['ok', 'all-is-well', null]);
});

test('signed requests of strangers to a route that is used no more are told for a day, and not for ever', () => {
  const other = on('/b', { userAgent: 'Other/1' });
  const retired = [tableOf(['/a', '/b'], 'reject'), ...known(on('/a'), other)];
  const scanned = [...retired, ...times(10, scan('/a'), ...times(4, other, 900))];
  expect(headOf(scanned, '/a', '/b')).toEqual(['warning', 'another-secret', '/a']);
  const later = [...scanned, ...known(other)];
  expect(headOf(later, '/a', '/b')).toEqual(['ok', 'all-is-well', null]);
  expect(headOf([...later, tableOf(['/b'], 'reject'), ...known(other)], '/b')).toEqual(['ok', 'all-is-well', null]);
});

test('of a few deliveries the pauses are not known, however far they lie apart', () => {
  const stray = times(3, scan('/notify', unsigned), 60);
  const said = (...came: readonly Coming[]) => headOf([...came, 80 * 3600, ...stray], '/notify')[0];
  expect(said(accepted(), 25 * 3600, accepted())).toBe('ok');
  expect(said(...times(8, accepted(), 4 * 3600))).toBe('warning');
});

test('of a front that is known since a delivery, what it turned away or did not read before counts as lost', () => {
  const [one, other] = ['10.0.0.1', '10.0.0.2'].map((connectionAddress) => accepted({ connectionAddress }));
  for (const early of [{ address: '10.0.0.2' }, { ...large, ...from('10.0.0.2') }]) {
    const came = [...times(5, early, 20), one ?? 0, 20, other ?? 0, 20];
    const { lost, advice } = judgedAfter(came);
    expect([lost.refused + lost.turnedAway, advice[0]?.id === 'all-is-well']).toEqual([5, false]);
  }
});

test('a route that a client left ends where it is taken, and one that fails now and then is not back after three', () => {
  const typo = accepted({ route: 'unmatched', path: '/notfy', status: 404, upstreamStatus: 404 });
  const tooLarge = refused({ reason: 'body_too_large', status: 413, route: 'unmatched', path: '/notfy' });
  const moved = judgedAfter([typo, ...times(5, tooLarge, 5), ...times(90, accepted(), 60)]).advice;
  expect(moved.some(({ id }) => id === 'large-body')).toBe(false);
  const down = accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' });
  const at = (amount: number, one: RequestRecord) => times(amount, one, 900, 'look');
  expect(headOf([...at(3, down), accepted(), ...at(5, down), ...at(3, accepted())], '/notify')[0]).toBe('failed');
});
