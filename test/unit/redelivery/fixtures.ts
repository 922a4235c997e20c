// A `test` with redelivery on a store that fails at a chosen moment: a real directory, a real app, and one method in
// between. Each test has its own, so tests may run concurrently.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { admit, admitBody, arrivalOf } from '../../../src/core/admission.ts';
import { Keyring } from '../../../src/core/keyring.ts';
import type { Policy } from '../../../src/core/policy.ts';
import type { Deferrable } from '../../../src/redelivery/failure-edge.ts';
import { Redelivery } from '../../../src/redelivery/redelivery.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { DeferredStore } from '../../../src/redelivery/stores/store.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { type App, startApp } from '../../support/redelivery/redelivery.ts';
import { head as headOf, secret, table, verify } from '../core/fixtures.ts';

export const VALUE = 'redelivery-secret-0123456789abcdef';
const ROUTE = verify('/notify', { redeliver: 3_600_000 });

interface Delivery {
  readonly value?: string;
  /** Milliseconds since it came. */
  readonly age?: number;
}

interface Fixtures {
  readonly directory: string;
  readonly app: App;
  readonly budget: ByteBudget;
  /** How deliveries ended, in the order of their ends. */
  readonly results: string[];
  /** The policy in force, which a test may replace. */
  readonly rules: { policy: Policy };
  /** Called once; `between` may replace methods of the store. Resolves when the store is open. */
  readonly start: (between: (store: DeferredStore) => Partial<DeferredStore>) => Promise<Redelivery>;
  /** A verified delivery of this body, which the app does not take. */
  readonly delivery: (body: string, options?: Delivery) => Deferrable;
}

export const policyOf = (...secrets: readonly (readonly [string, string])[]): Policy => ({
  settings: { bodyTimeout: 1, connections: 8, responseTimeout: 0, idleTimeout: 0, forwardedHeaders: 'none' },
  routes: table([ROUTE], 'reject'),
  keyring: new Keyring(secrets.map(([id, value]) => secret(id, value))),
  trusts: () => false,
});

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  directory: async ({}, use) => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-redelivery-'));
    await use(directory);
    await rm(directory, { recursive: true });
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  app: async ({}, use) => {
    const app = await startApp();
    await use(app);
    await app.close();
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  budget: ({}, use) => use(new ByteBudget(1_048_576)),
  // biome-ignore lint/correctness/noEmptyPattern: as above
  results: ({}, use) => use([]),
  // biome-ignore lint/correctness/noEmptyPattern: as above
  rules: ({}, use) => use({ policy: policyOf(['current', VALUE]) }),
  start: async ({ directory, app, budget, results, rules }, use) => {
    const times = { connectTimeout: 1000, retryConnectFor: 100, keepAlive: 1000 };
    const upstream = new Upstream({ url: app.url, connections: 32, queue: 32, tls: null, ...times });
    const started: Redelivery[] = [];
    const mostBytes = () => budget.most;
    const store = {
      ...{ store: directory, name: '', passwordFile: null, readPassword: async () => '', maxBytes: 16 * 1_048_576 },
      ...{ mostBytes, as: 'owner' as const, onRemark: () => {} },
    };
    await use(async (between) => {
      const ready = Promise.withResolvers<void>();
      const redelivery = new Redelivery({
        policy: () => rules.policy,
        ...{ upstream, budget, name: '', maxHeader: () => 16_384, mostBytes, longestWindow: () => ROUTE.redeliver },
        deliveries: () => {
          throw new Error('no route has once');
        },
        open: async (onChange) => {
          const opened = await openStore(store, onChange);
          ready.resolve();
          const methods = ['add', 'list', 'claim', 'release', 'remove', 'read', 'drop', 'close'] as const;
          const bound = Object.fromEntries(methods.map((name) => [name, opened[name].bind(opened)]));
          return { ...bound, ...between(opened) } as DeferredStore;
        },
        tell: () => {},
        onResult: (_route, result) => results.push(result),
      });
      started.push(redelivery);
      await ready.promise;
      return redelivery;
    });
    for (const redelivery of started) await redelivery.close();
    upstream.close();
  },
  delivery: ({ rules }, use) =>
    use((text, { value = VALUE, age = 0 } = {}) => {
      const { policy } = rules;
      const body = Buffer.from(text);
      const lines = ['Host', 'h', 'Entrupy-Signature', sign(value, body), 'Content-Length', `${body.length}`];
      const head = headOf({ lines });
      const arrival = arrivalOf(head, policy, Date.now());
      const early = admit(arrival);
      const admission = early.kind === 'read' ? admitBody(early, arrival, body) : early;
      if (!('permit' in admission)) throw new Error('refused');
      return { head, lines, body, route: ROUTE, permit: admission.permit, at: arrival.at - age, policy };
    }),
});
