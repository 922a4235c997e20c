// Why the gate refuses: a rule of a closed set, a header's name, and what would let the request through.
import { expect, test } from 'vitest';
import {
  GATE,
  RULES,
  refusedByGate,
  refusedForHeaders,
  refusedForQuery,
  whyNeverAllowed,
} from '../../../src/core/gate.ts';
import { forward, head, reject, report, verify } from './fixtures.ts';

const withHeaders = (...names: string[]) =>
  head({ lines: ['Host', 'a', ...names.flatMap((name) => [name, 'VALUE-NOT-SHOWN'])] });

test('every rule has one name and says what it stops', () => {
  const names = Object.keys(RULES);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual([...Object.keys(GATE), 'route-headers', 'query', 'parser', 'head-size']);
  for (const [, stops] of Object.entries(RULES)) expect(stops).toMatch(/\w/);
});

test('the gate names its rule, and the header if one is the cause', () => {
  expect(refusedByGate(head())).toBeNull();
  expect(refusedByGate(head({ target: '/%00' }))).toEqual({ rule: 'encoded-controls', header: null, hint: null });
  const lines = ['Host', 'a', 'Connection', 'cookie'];
  expect(refusedByGate(head({ lines }))).toEqual({ rule: 'connection-names', header: 'connection', hint: null });
  expect(refusedByGate(head({ lines: [] }))).toMatchObject({ rule: 'one-host', header: 'host' });
});

test('the hint lists every name that allowHeaders would need', () => {
  const refused = refusedForHeaders(withHeaders('X-Forwarded-Prefix', 'X_Trace', 'x_trace'), verify('/notify'));
  expect(refused).toEqual({
    rule: 'route-headers',
    header: 'x-forwarded-prefix',
    hint: 'route /notify needs allowHeaders: [x-forwarded-prefix, x_trace], but only if the proxy in front sets it itself (docs/ingress.md)',
  });
  expect(refusedForHeaders(withHeaders('X_Trace'), verify('unmatched'))?.hint).toMatch(
    /^the path needs a route with allowHeaders: \[x_trace\],/,
  );
  const allowing = verify('/notify', { allowHeaders: ['x_trace'] });
  expect(refusedForHeaders(withHeaders('X_Trace'), allowing)).toBeNull();
  expect(refusedForHeaders(withHeaders('X_Trace', 'X_Other'), allowing)?.hint).toContain('[x_other]');
  expect(refusedForHeaders(withHeaders('X_Trace'), reject('/gone'))?.rule).toBe('route-headers');
});

test.each(['SCRIPT_NAME', 'Path_Info', 'Script.Name', 'Entrupy_Signature', 'Content_Type'])(
  '%s has the hint that nothing can allow it',
  (name) => {
    const refused = refusedForHeaders(withHeaders('X_Trace', name), forward('/open'));
    expect(refused).toMatchObject({ header: name.toLowerCase() });
    expect(refused?.hint).toMatch(`allowHeaders cannot allow ${name.toLowerCase()}: `);
    expect(whyNeverAllowed(name)).not.toBeNull();
  },
);

test('a flood of names gives a short hint', () => {
  const names = Array.from({ length: 500 }, (_, index) => `x_${index}_${'y'.repeat(100)}`);
  const hint = refusedForHeaders(withHeaders(...names), verify('/notify'))?.hint ?? '';
  expect(hint.length).toBeLessThan(800);
  expect(hint).toContain('and others');
});

test('a query is refused if the route says so, in report mode too', () => {
  const refused = { rule: 'query', header: null, hint: expect.stringContaining('query: forward') };
  const asked = head({ target: '/notify?token=VALUE-NOT-SHOWN' });
  expect(refusedForQuery(asked, verify('/notify', { query: 'refuse' }))).toEqual(refused);
  expect(refusedForQuery(asked, report('/notify', { query: 'refuse' }))).toEqual(refused);
  expect(refusedForQuery(head({ target: '/notify?' }), verify('/notify', { query: 'refuse' }))).toEqual(refused);
  expect(refusedForQuery(head({ target: '/notify%3Fb' }), verify('/notify', { query: 'refuse' }))).toBeNull();
  expect(refusedForQuery(asked, verify('/notify'))).toBeNull();
  expect(refusedForQuery(head(), verify('/notify', { query: 'refuse' }))).toBeNull();
});

test('no output holds a header value', () => {
  const all = [
    refusedForHeaders(withHeaders('X_Trace'), verify('/a')),
    refusedByGate(head({ lines: ['Host', 'VALUE NOT SHOWN'] })),
    refusedForQuery(head({ target: '/a?VALUE' }), verify('/a', { query: 'refuse' })),
  ];
  for (const refused of all) expect(JSON.stringify(refused)).not.toContain('VALUE');
});
