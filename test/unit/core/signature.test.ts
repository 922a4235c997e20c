// The header's form and the HMAC: against Entrupy's rules and a signer written independently of src. The vectors of RFC
// 4231: test/conformance/rfc-4231-vectors.test.ts.
import { Buffer } from 'node:buffer';
import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { looksLikeSignature, readSignature, signBody, signs } from '../../../src/core/signature.ts';
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

describe('the form of the header', () => {
  const digest = `${'A'.repeat(43)}=`;
  const form = (value: string) => {
    const read = readSignature(value);
    return read.reason ?? read.digest;
  };

  test('SHA256:<base64 of 32 bytes> is read', () => {
    expect(form(`SHA256:${digest}`)).toBe(digest);
    expect(form(`SHA256:${'/'.repeat(42)}8=`)).toBe(`${'/'.repeat(42)}8=`);
  });

  test.each([
    '',
    'SHA256',
    digest,
    `SHA256:${digest}:`,
    `SHA256::${digest}`,
    `:SHA256:${digest}`,
    `a:b:${digest}`,
    'SHA256:',
    'SHA256:=',
    `SHA256:${digest.slice(1)}`,
    `SHA256:A${digest}`,
    `SHA256:${digest}=`,
    `SHA256:${'A'.repeat(43)}`,
    `SHA256:${'A'.repeat(44)}`,
    `SHA256: ${digest}`,
    `SHA256:${digest} `,
    `SHA256:${digest}\n`,
    `SHA256:${'-'.repeat(42)}A=`,
    `SHA256:${'_'.repeat(42)}A=`,
    `SHA256:${'A'.repeat(42)}B=`,
    `SHA256:${'A'.repeat(42)}\xc1=`,
    `SHA256:${'ab'.repeat(32)}`,
    `SHA256:${digest}, SHA256:${digest}`,
  ])('%j is malformed', (value) => {
    expect(form(value)).toBe('malformed_signature');
  });

  test.each([
    `sha256:${digest}`,
    `SHA1:${digest}`,
    `SHA-256:${digest}`,
    `SHA512:x`,
    `:${digest}`,
    `x:`,
    `SHA256 :${digest}`,
    ':',
  ])('%j names another algorithm', (value) => {
    expect(form(value)).toBe('unsupported_algorithm');
  });
});

test('a look-alike differs only by _ and .', () => {
  for (const name of ['entrupy-signature', 'entrupy_signature', 'entrupy.signature']) {
    expect([name, looksLikeSignature(name)]).toEqual([name, true]);
  }
  for (const name of ['entrupysignature', 'entrupy-signatures', 'x-entrupy-signature', 'entrupy~signature', '']) {
    expect([name, looksLikeSignature(name)]).toEqual([name, false]);
  }
});
