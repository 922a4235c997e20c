// A delivery that the end of `grace` stores: it waits for its twin at another replica, and the store is slow.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { Listener } from '../../../src/downstream/listener.ts';
import { Claims } from '../../../src/once/claims.ts';
import { Pipeline } from '../../../src/pipeline.ts';
import type { Deferrable } from '../../../src/redelivery/record.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { policyOf, secret, verify } from '../core/fixtures.ts';
import { LIMITS } from '../downstream/fixtures.ts';
import { upstreamAt } from '../upstream/fixtures.ts';

const VALUE = 'end-of-grace-secret-0123456789abcdef';
const POLICY = policyOf([verify('/notify', { redeliver: 60_000, once: 60_000 })], [secret('a', VALUE)], {
  bodyTimeout: 60_000,
});

test.for([
  ['a store that is too slow still finds the body whole after the client’s answer', 'not stored', 503],
  ['once it is stored, the memory of its body is given back at once', 'stored', 202],
] as const)('%s', async ([, result, status], { onTestFinished }) => {
  const upstream = upstreamAt('http://127.0.0.1:1');
  const budget = new ByteBudget(1_048_576);
  const claiming = Promise.withResolvers<void>();
  const elsewhere = {
    claim: async () => {
      claiming.resolve();
      return 'busy' as const;
    },
    ...{ commit: async () => {}, release: async () => {}, entries: () => 0, evicts: () => null, close: async () => {} },
  };
  const claims = new Claims({ open: async () => elsewhere, onStoreFailure: 'refuse', onChange: () => {} });
  const asked = Promise.withResolvers<Deferrable>();
  const slow = Promise.withResolvers<typeof result>();
  const pipeline = new Pipeline({
    ...{ policy: () => POLICY, upstream, budget, claims: () => claims, onFate: () => {}, onVerified: () => {} },
    tellsRefused: () => false,
    storing: {
      defer: (delivery) => {
        asked.resolve(delivery);
        return { inTime: slow.promise, atLast: slow.promise };
      },
      taken: async () => {},
    },
  });
  const listener = new Listener(LIMITS, { onRequest: (each) => pipeline.begin(each), onRequestEnd: () => {} }, budget);
  const client = connect(await listener.listen('127.0.0.1', 0), '127.0.0.1');
  onTestFinished(() => {
    client.destroy();
    listener.cutAll();
  });
  const body = randomBytes(100_000); // in a buffer of its own, which is freed at once where nobody reads it any more
  const lines = ['Host: h', `Entrupy-Signature: ${sign(VALUE, body)}`, `Content-Length: ${body.length}`];
  client.write(`POST /notify HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  client.write(body);
  await claiming.promise;
  pipeline.endWaits();
  const delivery = await asked.promise;
  slow.resolve(result);
  await pipeline.settled();
  expect(String(await new Promise((resolve) => client.once('data', resolve)))).toContain(`HTTP/1.1 ${status} `);
  expect(delivery.body.equals(result === 'stored' ? Buffer.alloc(0) : body)).toBe(true);
});
