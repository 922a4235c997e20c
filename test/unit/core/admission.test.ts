// What a refusal says, without a socket. The order of the checks: test/conformance/cases/deliveries.ts.
import { describe, expect, test } from 'vitest';
import { admit } from '../../../src/core/admission.ts';
import type { Secret } from '../../../src/core/keyring.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { head, NOW, policyOf, secret, verify } from './fixtures.ts';

const VALUE = 'admission-secret-0123456789abcdef';
const LIVE = secret('current', VALUE);
const EXPIRED = secret('old', `${VALUE}-old`, { notAfter: NOW - 1 });
const SIGNED = ['Entrupy-Signature', sign(VALUE, Buffer.from('{"event":1}'))];

const ask = (lines: readonly string[], secrets: readonly Secret[] = [LIVE, EXPIRED], listed: string[] | null = null) =>
  admit({
    head: head({ lines: ['Host', 'h', ...lines] }),
    policy: policyOf([verify('/notify', { maxBody: 100, secrets: listed })], secrets),
    at: NOW,
  });

describe('a refusal', () => {
  test('of a body that is too large has both sizes in the hint', () => {
    const text = 'maxBody is 100 bytes, and the head declares 999';
    expect(ask([...SIGNED, 'Content-Length', '999'])).toMatchObject({ reason: 'body_too_large', hint: { text } });
  });

  test('on a route that no secret may sign for is the client’s fault, whatever it signs', () => {
    expect(ask(SIGNED, [LIVE], [])).toMatchObject({ reason: 'signature_mismatch' });
    expect(ask([], [LIVE], [])).toMatchObject({ reason: 'missing_signature' });
  });
});
