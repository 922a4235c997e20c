// HMAC-SHA256 against the vectors of RFC 4231 (4.2 to 4.8): the signer of the tests, and the program's own.
import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { signBody } from '../../src/core/signature.ts';
import { sign } from '../support/deliveries/signer.ts';

interface Vector {
  readonly name: string;
  readonly key: Buffer;
  readonly data: Buffer;
  /** Hexadecimal, as printed in the RFC, which truncates test 5 to 128 bits. */
  readonly mac: string;
}

const VECTORS: readonly Vector[] = [
  {
    name: '1',
    key: Buffer.alloc(20, 0x0b),
    data: Buffer.from('Hi There'),
    mac: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  },
  {
    name: '2, a key shorter than the output',
    key: Buffer.from('Jefe'),
    data: Buffer.from('what do ya want for nothing?'),
    mac: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  },
  {
    name: '3',
    key: Buffer.alloc(20, 0xaa),
    data: Buffer.alloc(50, 0xdd),
    mac: '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  },
  {
    name: '4',
    key: Buffer.from(Array.from({ length: 25 }, (_, i) => i + 1)),
    data: Buffer.alloc(50, 0xcd),
    mac: '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  },
  {
    name: '5, truncated',
    key: Buffer.alloc(20, 0x0c),
    data: Buffer.from('Test With Truncation'),
    mac: 'a3b6167473100ee06e0c796c2955552b',
  },
  {
    name: '6, a key longer than a block',
    key: Buffer.alloc(131, 0xaa),
    data: Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
    mac: '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  },
  {
    name: '7, a key and data longer than a block',
    key: Buffer.alloc(131, 0xaa),
    data: Buffer.from(
      'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    mac: '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  },
];

const hexOf = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

describe.each(VECTORS)('test case $name', ({ key, data, mac }) => {
  test("the tests' signer", () => {
    const [algorithm, digest = ''] = sign(key, data).split(':');
    expect(algorithm).toBe('SHA256');
    expect(hexOf(digest).startsWith(mac)).toBe(true);
  });

  test("the program's", () => {
    expect(hexOf(signBody(createSecretKey(key), data)).startsWith(mac)).toBe(true);
  });
});
