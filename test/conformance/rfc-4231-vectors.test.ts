// HMAC-SHA256 against the vectors of RFC 4231 (4.2 to 4.8): the signer of the tests, and the program's own.
import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { signBody } from '../../src/core/signature.ts';
import { sign } from '../support/deliveries/signer.ts';

/** Key, data and MAC of each test case. The MACs are as printed in the RFC, which truncates test 5 to 128 bits. */
const VECTORS = [
  ['1', Buffer.alloc(20, 0x0b), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    '2, a key shorter than the output',
    Buffer.from('Jefe'),
    'what do ya want for nothing?',
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  ['5, truncated', Buffer.alloc(20, 0x0c), 'Test With Truncation', 'a3b6167473100ee06e0c796c2955552b'],
  [
    '6, a key longer than a block',
    Buffer.alloc(131, 0xaa),
    'Test Using Larger Than Block-Size Key - Hash Key First',
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    '7, a key and data longer than a block',
    Buffer.alloc(131, 0xaa),
    'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
] as const;

const hexOf = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

test.each(VECTORS)("test case %s: the tests' signer, and the program's", (_name, key, data, mac) => {
  const [algorithm, digest = ''] = sign(key, Buffer.from(data)).split(':');
  expect(algorithm).toBe('SHA256');
  for (const computed of [digest, signBody(createSecretKey(key), Buffer.from(data))])
    expect(hexOf(computed).startsWith(mac)).toBe(true);
});
