// The signature header against its grammar, and the verdict against an independent signer: nothing else is ever
// accepted.
import { Buffer } from 'node:buffer';
import { createHmac, createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keyring } from '../../src/core/keyring.ts';
import { verdictOf } from '../../src/core/permit.ts';
import { readSignature } from '../../src/core/signature.ts';
import { diagnose } from '../../src/hints/refused-signature.ts';
import { sign } from '../support/deliveries/signer.ts';
import { VERDICT_CASES } from '../testdata/verdict-cases.ts';
import { NOW, secret, verify } from '../unit/core/fixtures.ts';
import { assertSome, character } from './time-box.ts';

const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
const digest = fc.uint8Array({ minLength: 30, maxLength: 34 }).map((array) => Buffer.from(array).toString('base64'));

/** Valid headers, and headers one or two edits away from them. */
const header = fc
  .tuple(
    fc.constantFrom('SHA256:', 'SHA256:', 'SHA256:', 'sha256:', 'SHA256', ':', 'SHA512:', ''),
    fc.oneof(digest, fc.string({ unit: 'binary-ascii', maxLength: 50 })),
    fc.array(fc.tuple(fc.nat(60), fc.constantFrom('', '=', ' ', ':', '-', '_', 'A', '\n', '\xe9', '\0')), {
      maxLength: 2,
    }),
  )
  .map(([algorithm, text, edits]) =>
    edits.reduce(
      (value, [at, piece]) => value.slice(0, at) + piece + value.slice(at + (piece === '' ? 1 : 0)),
      algorithm + text,
    ),
  );

/** The values of the table of verdicts, which are always tried. */
const examples = VERDICT_CASES.flatMap(({ headers }) =>
  headers.flatMap((line): [string][] => {
    const [, value] = /^Entrupy-Signature: (.*)$/.exec(line) ?? [];
    return value === undefined ? [] : [[value]];
  }),
);

/**
 * As the page of the example receiver describes it: two tokens around one colon, the first `SHA256`, the second such
 * base64.
 */
function expected(value: string): string {
  const tokens = value.split(':');
  if (tokens.length !== 2) return 'malformed_signature';
  const [algorithm, text = ''] = tokens;
  if (algorithm !== 'SHA256') return 'unsupported_algorithm';
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === 32 && decoded.toString('base64') === text ? text : 'malformed_signature';
}

test('a header is read exactly by its grammar', () => {
  assertSome(
    fc.property(header, (value) => {
      const form = readSignature(value);
      expect(form.reason ?? form.digest).toBe(expected(value));
    }),
    3,
    examples,
  );
});

const values = fc.uniqueArray(fc.string({ unit: character, minLength: 1, maxLength: 24 }), {
  minLength: 2,
  maxLength: 6,
});

test('a body is accepted if and only if it is signed with a live secret', () => {
  const attempt = fc.record({ values, live: fc.nat(), by: fc.nat(), body: bytes, flip: fc.option(fc.nat()) });
  assertSome(
    fc.property(attempt, ({ values, live, by, body, flip }) => {
      const count = 1 + (live % (values.length - 1));
      const ring = values.map((value, at) => secret(`s${at}`, value, at < count ? {} : { notAfter: NOW }));
      const keyring = new Keyring(ring);
      const signer = by % (values.length + 1);
      const header = sign(values[signer] ?? `${values.join()} and none of them`, body);
      const got = Buffer.from(body);
      const changed = flip !== null && got.length > 0;
      if (changed) got[flip % got.length] = (got[flip % got.length] ?? 0) ^ 1;
      const form = readSignature(header);
      if (form.reason !== null) return expect.fail(`${header} is not read`);
      const verdict = verdictOf({
        route: verify('/notify'),
        keyring,
        live: keyring.live(null, NOW),
        digest: form.digest,
        body: got,
      });
      if (changed || signer === values.length) expect(verdict).toEqual({ refused: 'signature_mismatch', secret: null });
      else if (signer >= count) expect(verdict).toEqual({ refused: 'expired_secret', secret: `s${signer}` });
      else expect('permit' in verdict && verdict.permit.secret?.id).toBe(`s${signer}`);
    }),
    3,
  );
});

// What was given may be the secret itself, pasted.
test('no hint holds a secret, digest or input text, and nothing throws', () => {
  const values = ['c3VwZXItc2VjcmV0LW9mLXRoZS13ZWJob29rLTAx', 'the-secret-of-another-route-0123456789'];
  const secrets = values.map((value, at) => ({
    ...{ id: `s${at}`, key: createSecretKey(Buffer.from(value)), notBefore: null, notAfter: null },
  }));
  const route = { listed: ['s0'], at: 0, maxBytes: 64 * 1024 };
  const digits = fc.string({ unit: fc.constantFrom(...'0123abcdefXYZ+/=-_ ,:"%') });
  const prefixed = fc.tuple(fc.constantFrom('SHA256:', 'sha256=', ''), digits).map((parts) => parts.join(''));
  const signed = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((each) => `SHA256:${Buffer.from(each).toString('base64')}`);
  const broken = fc.constantFrom('{', '{"a"', '{"a":}', '{]', '[[1,,]', '"\\u12"', '{"__proto__":1}', '[01]');
  const body = fc.oneof(fc.json(), fc.string({ unit: character }), broken);
  assertSome(
    fc.property(fc.oneof(fc.string(), prefixed, signed), body, (given, text) => {
      const found = diagnose({ body: Buffer.from(text), given, secrets, ...route })?.text ?? '';
      expect(found).toMatch(/^[\x20-\x7e]*$/);
      const digests = ['hex', 'base64'] as const;
      const hidden = digests.map((as) =>
        createHmac('sha256', values[0] ?? '')
          .update(text)
          .digest(as),
      );
      for (const value of [...values, ...hidden]) expect(found).not.toContain(value);
      if (given.length > 24) expect(found).not.toContain(given.slice(-20));
    }),
    3,
  );
});
