// The order of the checks, without a socket: a request that breaks several rules is refused for the first of them.
import { describe, expect, test } from 'vitest';
import { type Admission, admit, admitBody, type Policy } from '../../../src/core/admission.ts';
import type { Secret } from '../../../src/core/keyring.ts';
import type { Route } from '../../../src/core/routes.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { forward, head, NOW, policyOf, reject, report, secret, verify } from './fixtures.ts';

const VALUE = 'admission-secret-0123456789abcdef';
const BODY = Buffer.from('{"event":1}');
const LIVE = secret('current', VALUE);
const EXPIRED = secret('old', `${VALUE}-old`, { notAfter: NOW - 1 });

const policy = (routes: readonly Route[], secrets: readonly Secret[] = [LIVE, EXPIRED]) => policyOf(routes, secrets);

interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly lines?: readonly string[];
}

const signed = ['Entrupy-Signature', sign(VALUE, BODY)];
const ask = (under: Policy, { lines = [], ...rest }: Asked = {}): Admission =>
  admit({ head: head({ ...rest, lines: ['Host', 'h', ...lines] }), policy: under, at: NOW });

/** The kind, with the reason of a refusal or of a report. */
function told(admission: Admission): string {
  if (admission.kind === 'refuse') return `refuse ${admission.reason}`;
  return admission.kind === 'report' ? `report ${admission.permit.reason}` : admission.kind;
}

/** Breaks the last two rules on a head. */
const WORST = ['Entrupy-Signature', 'SHA256:x', 'Content-Length', '999'];

describe('a verify route', () => {
  const route = verify('/notify', { maxBody: 100, query: 'refuse' });
  const under = policy([route]);

  test.each([
    ['nothing', [...signed, 'Content-Length', '11'], 'read'],
    ['the length', [...signed, 'Content-Length', '999'], 'refuse body_too_large'],
    ['and the form', WORST, 'refuse malformed_signature'],
  ])('breaking %s', (_breaks, lines, expected) => {
    expect(told(ask(under, { lines }))).toBe(expected);
  });

  test('a body that is too large has both sizes in the hint', () => {
    const text = 'maxBody is 100 bytes, and the head declares 999';
    expect(ask(under, { lines: [...signed, 'Content-Length', '999'] })).toMatchObject({ hint: { text } });
  });

  test('live secret before form, method before live secret, query before method, header before query, gate first', () => {
    const none = policy([route], [EXPIRED]);
    const expected = [
      [{ lines: WORST }, 'refuse no_live_secret'],
      [{ lines: WORST, method: 'PUT' }, 'refuse method_not_allowed'],
      [{ lines: WORST, method: 'PUT', target: '/notify?a' }, 'refuse bad_request'],
    ] as const;
    for (const [asked, outcome] of expected) expect(told(ask(none, asked))).toBe(outcome);
    const rules = [
      [{ lines: WORST, method: 'PUT', target: '/notify?a' }, 'query', '/notify'],
      [{ lines: [...WORST, 'X-Original-URL', '/'], method: 'PUT', target: '/notify?a' }, 'route-headers', 'unmatched'],
      [
        { lines: [...WORST, 'X-Original-URL', '/', 'Host', 'b'], method: 'PUT', target: '/notify?a' },
        'one-host',
        'unmatched',
      ],
    ] as const;
    for (const [asked, rule, label] of rules) expect(ask(none, asked)).toMatchObject({ kind: 'refuse', rule, label });
  });

  test('405 names the methods, and 503 says why no secret is live', () => {
    expect(ask(under, { method: 'GET' })).toMatchObject({ reason: 'method_not_allowed', allow: ['POST'] });
    const refused = ask(policy([route], [EXPIRED]), { lines: signed });
    expect(refused).toMatchObject({
      reason: 'no_live_secret',
      hint: { diagnosis: 'secrets-outside-dates', text: expect.stringContaining('secret old expired at') },
    });
  });

  test('routes without a common secret are the client’s fault, whatever it signs', () => {
    const nobody = policy([verify('/notify', { secrets: [] })]);
    expect(told(ask(nobody, { lines: signed }))).toBe('refuse signature_mismatch');
    expect(told(ask(nobody))).toBe('refuse missing_signature');
  });
});

test('a body that an expired secret signs is refused, and the secret is named', () => {
  const under = policy([verify('/notify')]);
  const read = ask(under, { lines: ['Entrupy-Signature', sign(`${VALUE}-old`, BODY)] });
  if (read.kind !== 'read') throw new Error(told(read));
  expect(admitBody(read, { policy: under, at: NOW }, BODY)).toMatchObject({
    ...{ kind: 'refuse', label: '/notify', reason: 'expired_secret', secret: 'old' },
  });
});

test('a report route reports what it may, and refuses the rest', () => {
  const under = policy([report('/notify', { maxBody: 100, query: 'refuse' })]);
  expect(told(ask(under))).toBe('report missing_signature');
  expect(told(ask(under, { method: 'PUT' }))).toBe('report method_not_allowed');
  expect(told(ask(policy([report('/notify')], []), { lines: signed }))).toBe('report no_live_secret');
  expect(told(ask(under, { target: '/notify?a' }))).toBe('refuse bad_request');
  expect(told(ask(under, { lines: [...signed, 'Content-Length', '999'] }))).toBe('refuse body_too_large');
});

test('a forward route asks for its methods alone; a tunnel needs a route that lists it', () => {
  const upgrade = ['Connection', 'Upgrade', 'Upgrade', 'websocket'];
  const under = policy([
    forward('/open', { methods: ['GET'] }),
    forward('/live', { upgrade: ['websocket'] }),
    reject('/gone'),
  ]);
  const kinds = (target: string, lines: readonly string[] = []) => ask(under, { method: 'GET', target, lines });
  expect(kinds('/open')).toMatchObject({ kind: 'forward', permit: { decision: 'forwarded', tunnel: false } });
  expect(kinds('/open', upgrade)).toMatchObject({ kind: 'forward', permit: { tunnel: false } });
  expect(kinds('/live', upgrade)).toMatchObject({ kind: 'forward', permit: { tunnel: true } });
  expect(told(ask(under, { method: 'PUT', target: '/open' }))).toBe('refuse method_not_allowed');
  expect(told(kinds('/gone'))).toBe('refuse route_rejected');
});
