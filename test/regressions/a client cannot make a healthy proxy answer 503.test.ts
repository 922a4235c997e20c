// Bug: a target that could be read as two routes with no secret in common was answered with 503 `no_live_secret`, which
// blames the operator. A front that ejects pods for their 5xx could be made to eject every one.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { exchange } from '../support/raw-client.ts';
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts';
import { sign } from '../support/signer.ts';

const SECRETS = { a: 'shared-by-no-route-a-0123456789abcdef', b: 'shared-by-no-route-b-0123456789abcdef' };

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url },
      routes: [
        { path: '/orders', secrets: ['a'] },
        { path: '/refunds', secrets: ['b'] },
      ],
    },
    secrets: SECRETS,
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test.each([
  ['/orders/../refunds', 'missing_signature', ''],
  ['//orders/refunds', 'signature_mismatch', sign(SECRETS.a, 'x')],
  ['/refunds;/orders', 'signature_mismatch', sign(SECRETS.b, 'x')],
])('POST %s: 401 %s', async (target, reason, signature) => {
  const line = signature === '' ? '' : `Entrupy-Signature: ${signature}\r\n`;
  const { status } = await exchange(
    proxy.port,
    `POST ${target} HTTP/1.1\r\nHost: h\r\n${line}Content-Length: 1\r\n\r\nx`,
  );
  expect(status).toBe(401);
  await proxy.waitForLog((entry) => entry.path === target && entry.reason === reason);
  expect(upstream.heads).toEqual([]);
});
