// HMAC-SHA256 against two vectors of RFC 4231 (4.2, 4.8): the signer of the tests, and the program's own.
import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { signBody } from '../../src/core/signature.ts';
import { sign } from '../support/deliveries/signer.ts';

/** Key, data and MAC of the first test case and of the last one, whose key and data are longer than a block. */
const VECTORS = [
  ['1', Buffer.alloc(20, 0x0b), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    '7',
    Buffer.alloc(131, 0xaa),
    'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
] as const;

test.each(VECTORS)("test case %s: the tests' signer, and the program's", (_name, key, data, mac) => {
  const own = `SHA256:${signBody(createSecretKey(key), Buffer.from(data))}`;
  const right = `SHA256:${Buffer.from(mac, 'hex').toString('base64')}`;
  expect([sign(key, Buffer.from(data)), own]).toEqual([right, right]);
});
