// A `test` with redelivery on a store that fails at a chosen moment: a real directory, a real app, and one method in
// between. Each test has its own, so tests may run concurrently.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { admit, admitBody } from '../../../src/core/admission.ts';
import type { Policy } from '../../../src/core/policy.ts';
import { type Deferrable, Queue } from '../../../src/redelivery/queue.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { DeferredStore } from '../../../src/redelivery/stores/store.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import { type App, startApp } from '../../support/redelivery/redelivery.ts';
import { head as headOf, policyOf as policyWith, secret, verify } from '../core/fixtures.ts';

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
  readonly start: (between: (store: DeferredStore) => Partial<DeferredStore>) => Promise<Queue>;
  /** A verified delivery of this body, which the app does not take. */
  readonly delivery: (body: string, options?: Delivery) => Deferrable;
}

/** Stores it; again if need be, since a busy machine may take longer than the second that its client waits. */
export const stored = (queue: Queue, delivery: Deferrable) => eventually(() => queue.defer(delivery, '500'), 'stored');

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const TIMES = { connections: 8, responseTimeout: 0, idleTimeout: 0 };

export const policyOf = (...secrets: readonly (readonly [string, string])[]): Policy =>
  policyWith(
    [ROUTE],
    secrets.map(([id, value]) => secret(id, value)),
    TIMES,
  );

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
    const times = { connectTimeout: 1000, keepAlive: 1000 };
    const upstream = new Upstream({ url: app.url, connections: 32, queue: 32, tls: null, ...times });
    const started: Queue[] = [];
    const place = { store: directory, name: '', passwordFile: null, readPassword: async () => '' };
    await use(async (between) => {
      const ready = Promise.withResolvers<void>();
      const queue = new Queue(
        {
          policy: () => rules.policy,
          ...{ upstream, budget, store: { ...place, maxBytes: 16 * 1_048_576 } },
          claims: () => {
            throw new Error('no route has once');
          },
          log: SILENT,
          onResult: (result) => results.push(result),
        },
        async (options) => {
          const opened = await openStore(options);
          ready.resolve();
          const methods = ['add', 'lease', 'set', 'end', 'summary'] as const;
          const others = ['page', 'wake', 'read', 'drop', 'close'] as const;
          const bound = Object.fromEntries([...methods, ...others].map((name) => [name, opened[name].bind(opened)]));
          return { ...bound, ...between(opened) } as DeferredStore;
        },
      );
      started.push(queue);
      await queue.adopt();
      await ready.promise;
      return queue;
    });
    for (const queue of started) await queue.close();
    upstream.close();
  },
  delivery: ({ rules }, use) =>
    use((text, { value = VALUE, age = 0 } = {}) => {
      const { policy } = rules;
      const body = Buffer.from(text);
      const lines = ['Host', 'h', 'Entrupy-Signature', sign(value, body), 'Content-Length', `${body.length}`];
      const head = headOf({ lines });
      const arrival = { head, policy, at: Date.now() };
      const early = admit(arrival);
      const admission = early.kind === 'read' ? admitBody(early, arrival, body) : early;
      if (!('permit' in admission)) throw new Error('refused');
      return { head, lines, body, route: ROUTE, permit: admission.permit, at: arrival.at - age, policy };
    }),
});
