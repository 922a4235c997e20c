// The HMAC against a signer written independently of src. The vectors of RFC 4231:
// test/conformance/rfc-4231-vectors.test.ts; the form of the header: test/fuzz/signature.fuzz.test.ts.
import { Buffer } from 'node:buffer';
import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { looksLikeSignature, signBody, signs } from '../../../src/core/signature.ts';
import { sign } from '../../support/deliveries/signer.ts';

const key = (bytes: string | Buffer) => createSecretKey(Buffer.from(bytes));

test('the body is bytes: no byte of it is lost or added', () => {
  for (const body of [Buffer.alloc(0), Buffer.from([0xff, 0xfe, 0, 0x0d, 0x0a]), Buffer.from('{"é":"💶"}')]) {
    expect(`SHA256:${signBody(key('gëheim'), body)}`).toBe(sign('gëheim', body));
  }
});

test('a digest of another body, key or length does not match', () => {
  const digest = Buffer.from(signBody(key('a'), Buffer.from('x')));
  expect(signs(key('a'), Buffer.from('x'), digest)).toBe(true);
  expect(signs(key('a'), Buffer.from('y'), digest)).toBe(false);
  expect(signs(key('b'), Buffer.from('x'), digest)).toBe(false);
  expect(signs(key('a'), Buffer.from('x'), digest.subarray(1))).toBe(false);
  expect(signs(key('a'), Buffer.from('x'), Buffer.alloc(0))).toBe(false);
});

test('a look-alike differs only by _ and .', () => {
  for (const name of ['entrupy-signature', 'entrupy_signature', 'entrupy.signature']) {
    expect([name, looksLikeSignature(name)]).toEqual([name, true]);
  }
  for (const name of ['entrupysignature', 'entrupy-signatures', 'x-entrupy-signature', 'entrupy~signature', '']) {
    expect([name, looksLikeSignature(name)]).toEqual([name, false]);
  }
});
