// What is deferred, for the status page and the verdict on secrets. A snapshot is taken at each look at the page, so it
// must stay cheap with tens of thousands of deliveries.
import type { KeyObject } from 'node:crypto';
import type { DeferredDelivery, DeferredStatus } from '../admin/status-snapshot.ts';
import type { Config } from '../config/config.ts';
import type { Deferred } from '../redelivery/deferred.ts';
import type { Redelivery } from '../redelivery/redelivery.ts';
import { redelivers } from './ruleset.ts';

const LISTED = 50;

export function deferredStatus(redelivery: Redelivery | null, config: Config): DeferredStatus | null {
  if (redelivery === null) return null;
  const all = [...redelivery.list()];
  const { store } = config.redelivery;
  const { waiting, stopped, unverified } = redelivery.totals();
  return {
    store: store.startsWith('/') ? store : new URL(store).host,
    problem: redelivery.failure,
    sends: redelivers(config),
    waiting: waiting.deliveries,
    stopped: stopped.deliveries,
    unverified: unverified.deliveries,
    unread: all.filter(({ checked }) => !checked).length,
    bytes: waiting.bytes + stopped.bytes + unverified.bytes,
    oldest: waiting.oldest || null,
    deliveries: all.sort(bySoonest).slice(0, LISTED).map(shown),
  };
}

const turnOf = ({ state, due }: Readonly<Deferred>) => (state === 'waiting' ? due : Number.POSITIVE_INFINITY);

function bySoonest(one: Readonly<Deferred>, other: Readonly<Deferred>): number {
  const [first, second] = [turnOf(one), turnOf(other)];
  return first === second ? one.at - other.at : first - second;
}

function shown(entry: Readonly<Deferred>): DeferredDelivery {
  const { id, state, at, route, attempts, failure } = entry;
  const turn = turnOf(entry);
  return { id, state, at, route, attempts, lastFailure: failure, nextTry: Number.isFinite(turn) ? turn : null };
}

/** How many deferred deliveries each key signs. The key objects of one value may differ. */
export class SignedWith {
  readonly #counts = new Map<KeyObject, number>();

  constructor(redelivery: Redelivery | null) {
    for (const { key, state } of redelivery?.list() ?? []) {
      if (key !== null && state !== 'unverified') this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    }
  }

  of(key: KeyObject | null): number {
    if (key === null) return 0;
    return [...this.#counts].reduce((sum, [other, count]) => sum + (other === key || other.equals(key) ? count : 0), 0);
  }
}
