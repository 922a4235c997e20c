// Which requests get a permit, and which never do.
import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { Keyring, type Secret, stateOf } from '../../../src/core/keyring.ts';
import {
  isPermit,
  permitForward,
  permitReported,
  permitUpgrade,
  type Verdict,
  verdictOf,
} from '../../../src/core/permit.ts';
import { isReportable, REASON_NAMES } from '../../../src/core/reasons.ts';
import type { Route } from '../../../src/core/routes.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { forward, NOW, reject, report, secret, verify } from './fixtures.ts';

const BODY = Buffer.from('{"event":"session.completed"}');
const RING = [
  secret('first', 'the first secret'),
  secret('second', 'the second secret'),
  secret('old', 'the old secret', { notAfter: NOW }),
  secret('next', 'the next secret', { notBefore: NOW + 1 }),
  secret('twin', 'the first secret'),
];

function judged(by: string, options: { route?: Route; secrets?: readonly Secret[]; body?: Buffer } = {}): Verdict {
  const { route = verify('/notify'), secrets = RING, body = BODY } = options;
  const keyring = new Keyring(secrets);
  const digest = sign(by, BODY).slice('SHA256:'.length);
  return verdictOf({ route, keyring, live: keyring.live(route.secrets, NOW), digest, body });
}

function outcome(verdict: Verdict): string {
  return 'refused' in verdict ? verdict.refused : `${verdict.permit.decision} by ${verdict.permit.secret?.id}`;
}

test('a body signed with a live secret is accepted, with exactly the bytes that were verified', () => {
  const verdict = judged('the second secret');
  expect(outcome(verdict)).toBe('accepted by second');
  expect('permit' in verdict && verdict.permit).toMatchObject({ decision: 'accepted', reason: 'none' });
  expect('permit' in verdict && verdict.permit.body).toBe(BODY);
  expect(outcome(judged('the first secret')), 'of two ids with the same value the first').toBe('accepted by first');
});

test('a match by the first costs as many HMACs as a match by the last', () => {
  let used = 0;
  const watched = (id: string): Secret => {
    const { key, ...rest } = secret(id, `value of ${id}`);
    return {
      ...rest,
      get key() {
        used++;
        return key;
      },
    };
  };
  const ids = ['a', 'b', 'c'];
  for (const id of ids) {
    used = 0;
    expect(outcome(judged(`value of ${id}`, { secrets: ids.map(watched) }))).toBe(`accepted by ${id}`);
    expect(used).toBe(3);
  }
});

test('a route uses only its own secrets, live or not', () => {
  const route = verify('/notify', { secrets: ['second'] });
  expect(outcome(judged('the second secret', { route }))).toBe('accepted by second');
  expect(outcome(judged('the first secret', { route }))).toBe('signature_mismatch');
  expect(outcome(judged('the old secret', { route }))).toBe('signature_mismatch');
});

test('a value that is live under one id and expired under another is live', () => {
  const secrets = [secret('old', 'shared', { notAfter: NOW }), secret('new', 'shared')];
  expect(outcome(judged('shared', { secrets }))).toBe('accepted by new');
});

test('only verify routes have a verdict', () => {
  for (const route of [forward('/x'), reject('/x')]) expect(() => judged('the first secret', { route })).toThrow();
});

test('report mode lets through the reportable reasons only', () => {
  for (const reason of REASON_NAMES) {
    const permit = permitReported(report('/notify'), NOW, { reason, body: null });
    expect([reason, isPermit(permit)]).toEqual([reason, isReportable(reason)]);
    if (permit !== null) expect(permit).toMatchObject({ decision: 'reported', reason, secret: null, body: null });
  }
});

test('report mode is the route’s mode at this moment', () => {
  const refused = { reason: 'signature_mismatch', body: BODY } as const;
  expect(permitReported(report('/notify', { reportUntil: NOW + 1 }), NOW, refused)?.body).toBe(BODY);
  expect(permitReported(report('/notify', { reportUntil: NOW }), NOW, refused)).toBeNull();
  expect(permitReported(verify('/notify'), NOW, refused)).toBeNull();
  expect(permitReported({ ...reject('/notify'), mode: 'report' }, NOW, refused)).toBeNull();
  expect(permitReported({ ...forward('/notify'), mode: 'report' }, NOW, refused)).toBeNull();
});

test('only a forward route permits without a signature, and a tunnel only one that lists it', () => {
  const upgrade = ['websocket'] as const;
  const [plain, tunnel] = [
    { decision: 'forwarded', secret: null, tunnel: false },
    { decision: 'forwarded', tunnel: true },
  ];
  expect(permitForward(forward('/x', { upgrade }))).toMatchObject(plain);
  expect(permitUpgrade(forward('/x', { upgrade }))).toMatchObject(tunnel);
  for (const route of [verify('/x', { upgrade }), report('/x', { upgrade }), { ...reject('/x'), upgrade }])
    expect([permitForward(route), permitUpgrade(route)]).toEqual([null, null]);
  expect(permitUpgrade(forward('/x'))).toBeNull();
});

test('an object that only looks like a permit is not one', () => {
  const real = permitForward(forward('/x'));
  expect(isPermit(real)).toBe(true);
  const forged = [
    { ...real },
    Object.create(real),
    Object.setPrototypeOf({ ...real }, Object.getPrototypeOf(real)),
    new Proxy(real ?? {}, {}),
  ];
  for (const value of [...forged, structuredClone(real), null, undefined, true, 'permit', () => real])
    expect(isPermit(value)).toBe(false);
});

// Which ones a route lists: test/unit/secrets/rotation.test.ts.
test('a secret is live from notBefore on, and before notAfter', () => {
  const state = (validity: { notBefore?: number; notAfter?: number }) => stateOf(secret('a', 'x', validity), NOW);
  expect(state({})).toBe('live');
  expect([state({ notBefore: NOW }), state({ notBefore: NOW + 1 })]).toEqual(['live', 'not_yet']);
  expect([state({ notAfter: NOW + 1 }), state({ notAfter: NOW })]).toEqual(['live', 'expired']);
  expect(state({ notBefore: NOW + 1, notAfter: NOW })).toBe('not_yet');
});
