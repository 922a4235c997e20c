// The header's form and the HMAC: against RFC 4231, Entrupy's rules and a signer written independently of src.
import { Buffer } from 'node:buffer';
import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { looksLikeSignature, readSignature, signBody, signs } from '../../../src/core/signature.ts';
import { sign } from '../../support/deliveries/signer.ts';

const key = (bytes: string | Buffer) => createSecretKey(Buffer.from(bytes));
const hex = (text: string) => Buffer.from(text, 'hex');

// RFC 4231 4.2 to 4.8, except 4.6, which truncates: key, data, HMAC-SHA-256.
const RFC_4231: readonly (readonly [key: Buffer, data: Buffer, mac: string])[] = [
  [Buffer.alloc(20, 0x0b), Buffer.from('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    Buffer.from('Jefe'),
    Buffer.from('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [Buffer.alloc(20, 0xaa), Buffer.alloc(50, 0xdd), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
  [
    hex('0102030405060708090a0b0c0d0e0f10111213141516171819'),
    Buffer.alloc(50, 0xcd),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  [
    Buffer.alloc(131, 0xaa),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    Buffer.alloc(131, 0xaa),
    Buffer.from(
      'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
];

test.each(RFC_4231)('RFC 4231: %#', (secret, data, mac) => {
  expect(signBody(key(secret), data)).toBe(hex(mac).toString('base64'));
  expect(sign(secret, data)).toBe(`SHA256:${hex(mac).toString('base64')}`);
  expect(signs(key(secret), data, Buffer.from(hex(mac).toString('base64')))).toBe(true);
});

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
