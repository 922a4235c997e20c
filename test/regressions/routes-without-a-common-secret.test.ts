// A client cannot make a healthy proxy answer 503.
// Bug: a target that could be read as two routes with no secret in common was answered with 503 `no_live_secret`, which
// blames the operator. A front that ejects pods for their 5xx could be made to eject every one.
import { expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { value } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const routes = [
  { path: '/orders', secrets: ['a'] },
  { path: '/refunds', secrets: ['b'] },
];
const on = shared(startUpstream, { routes }, { secrets: { a: value('a'), b: value('b') } });

test.each([
  ['/orders/../refunds', 'missing_signature', ''],
  ['//orders/refunds', 'signature_mismatch', sign(value('a'), 'x')],
  ['/refunds;/orders', 'signature_mismatch', sign(value('b'), 'x')],
])('POST %s: 401 %s', async (target, reason, signature) => {
  const line = signature === '' ? '' : `Entrupy-Signature: ${signature}\r\n`;
  const { status } = await exchange(
    on.proxy.port,
    `POST ${target} HTTP/1.1\r\nHost: h\r\n${line}Content-Length: 1\r\n\r\nx`,
  );
  expect(status).toBe(401);
  await on.proxy.waitForLog((entry) => entry.path === target && entry.reason === reason);
  expect(on.upstream.requests).toEqual([]);
});
