// A `test` with redelivery on a store that fails at a chosen moment: a real directory, a real app, and one method in
// between. Each test has its own, so tests may run concurrently.
import { test as base } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { admit, admitBody, type Policy } from '../../../src/core/admission.ts';
import type { Fields } from '../../../src/redelivery/process-parts.ts';
import { Queue } from '../../../src/redelivery/queue.ts';
import type { Deferrable } from '../../../src/redelivery/record.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { Change, DeferredStore } from '../../../src/redelivery/stores/store.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { head as headOf, policyOf as policyWith, secret, verify } from '../../unit/core/fixtures.ts';
import { sign } from '../deliveries/signer.ts';
import { testDirectory } from '../machine/files.ts';
import { eventually, started } from '../proxy/proxied.ts';
import { startApp } from './proxy.ts';

export const VALUE = 'redelivery-secret-0123456789abcdef';
const ROUTE = verify('/notify', { redeliver: 3_600_000 });

/** Stores it, however long a busy machine's store takes beyond the second that its client waits; again if it was never asked. */
export const stored = (queue: Queue, delivery: Deferrable) =>
  eventually(() => queue.storing.defer(delivery, '500').atLast, 'stored');

export async function waiting(queue: Queue): Promise<number> {
  await queue.storeState.refresh();
  return queue.storeState.total('waiting').deliveries;
}

/** In place of a store's method: what leased events are to become is what `between` makes of it. */
export const changing = (store: DeferredStore, between: (to: Change['to']) => Change['to']) => ({
  change: async (changes: readonly Change[]) =>
    store.change(changes.map((each) => (each.lease === undefined ? each : { ...each, to: between(each.to) }))),
});

interface Settings {
  keep: number;
  maxBytes: number;
  takesLine: () => boolean | Promise<boolean>;
}

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const TIMES = { connections: 8, responseTimeout: 0, idleTimeout: 0 };

export const policyOf = (...secrets: readonly (readonly [string, string])[]): Policy =>
  policyWith(
    [ROUTE],
    secrets.map(([id, value]) => secret(id, value)),
    TIMES,
  );

export const test = base
  .extend('directory', ({ onTestFinished }) => testDirectory(onTestFinished))
  .extend('app', started(startApp))
  .extend('budget', () => new ByteBudget(1_048_576))
  /** How deliveries ended, in the order of their ends. */
  .extend('results', (): string[] => [])
  /** Settings of the store, which a test may change before the start. */
  .extend('settings', (): Settings => ({ keep: 3_600_000, maxBytes: 16 * 1_048_576, takesLine: () => true }))
  /** The fields of the lines of losses. */
  .extend('lines', (): Fields[] => [])
  /** The policy in force, which a test may replace. */
  .extend('rules', () => ({ policy: policyOf(['current', VALUE]) }))
  /** The store beneath. */
  .extend('opened', () => Promise.withResolvers<DeferredStore>())
  /** Called once; `between` may replace methods of the store. Resolves when the store is open. */
  .extend('start', ({ directory, app, budget, opened, results, rules, settings, lines, onTestFinished }) => {
    const times = { connectTimeout: 60_000, keepAlive: 1000 };
    const upstream = new Upstream({ url: app.url, connections: 32, queue: 32, tls: null, ...times });
    onTestFinished(() => upstream.close());
    const place = { store: directory, name: '', passwordFile: null, readPassword: async () => '' };
    return async (between: (store: DeferredStore) => Partial<DeferredStore>) => {
      const queue = new Queue(
        {
          policy: () => rules.policy,
          ...{ upstream, budget, storeSettings: () => ({ ...place, ...settings }) },
          tellLoss: async (fields) => (await settings.takesLine()) && lines.push(fields) > 0,
          claims: () => {
            throw new Error('no route has once');
          },
          log: SILENT,
          onResult: ({ result }) => results.push(result),
          onSending: () => {},
        },
        async (options) => {
          const store = await openStore(options);
          opened.resolve(store);
          const methods = ['add', 'lease', 'change', 'leaseKept', 'summary', 'test'] as const;
          const others = ['page', 'find', 'losses', 'close'] as const;
          const bound = Object.fromEntries([...methods, ...others].map((name) => [name, store[name].bind(store)]));
          return { ...bound, ...between(store) } as DeferredStore;
        },
      );
      onTestFinished(() => queue.close());
      await queue.adopt();
      await opened.promise;
      return queue;
    };
  })
  /** One that is started with nothing replaced. */
  .extend('queue', ({ start }) => start(() => ({})))
  /** A verified delivery of this body, which the app does not take; `age`: milliseconds since it came. */
  .extend('delivery', ({ rules }) => (text: string, { value = VALUE, age = 0 } = {}): Deferrable => {
    const { policy } = rules;
    const body = Buffer.from(text);
    const lines = ['Host', 'h', 'Entrupy-Signature', sign(value, body), 'Content-Length', `${body.length}`];
    const head = headOf({ lines });
    const arrival = { head, policy, at: Date.now() };
    const early = admit(arrival);
    const admission = early.kind === 'read' ? admitBody(early, arrival, body) : early;
    if (!('permit' in admission)) throw new Error('refused');
    return { head, lines, body, route: ROUTE, permit: admission.permit, came: arrival.at - age };
  });
