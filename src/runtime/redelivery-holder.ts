// Redelivery within the process: loaded when a route asks for it or something waits, and not before, since most proxies
// never need it.
import { stat } from 'node:fs/promises';
import type { DeferredStatus } from '../admin/snapshot.ts';
import { isDirectory, STATE_DIRECTORY } from '../base/default-places.ts';
import type { Config } from '../config/config.ts';
import { type DeferredTotals, noneDeferred } from '../core/request-record.ts';
import type { Log } from '../log/log.ts';
import type { Deferrable, Fresh } from '../redelivery/failure-edge.ts';
import type { Needs } from '../redelivery/needs.ts';
import type { Queue } from '../redelivery/queue.ts';
import { fileIn } from '../redelivery/stores/store.ts';
import { mostBody, redelivers, routesOf } from './ruleset.ts';

interface Process extends Pick<Needs, 'policy' | 'upstream' | 'budget' | 'claims' | 'store' | 'onResult'> {
  /** Of the ruleset in force. */
  readonly config: () => Config;
  readonly log: Log;
}

export class RedeliveryHolder implements Fresh {
  readonly #process: Process;
  /** Null until it is loaded. */
  current: Queue | null = null;

  constructor(process: Process) {
    this.#process = process;
  }

  async defer(...delivery: Parameters<Fresh['defer']>): ReturnType<Fresh['defer']> {
    return (await this.#open())?.defer(...delivery) ?? 'passes';
  }

  taken(delivery: Deferrable): void {
    this.current?.taken(delivery);
  }

  /** A ruleset has come into force. */
  async adopt(): Promise<void> {
    const { config, store } = this.#process;
    if (this.current !== null) return await this.current.adopt();
    const isStored = async () => (await stat(fileIn(store.store)).catch(() => null)) !== null; // and ours to read
    if (redelivers(config()) || !isDirectory(store.store) || (await isStored())) await this.#open();
  }

  /** Null where redelivery is not configured, and nothing is stored. */
  totals(): DeferredTotals | null {
    const { config, store } = this.#process;
    if (this.current !== null) return this.current.standing.totals();
    return redelivers(config()) || store.store !== STATE_DIRECTORY ? noneDeferred() : null;
  }

  /** For the status page, at each look at it: cheap also with tens of thousands of deliveries. Null until it is loaded. */
  status(): DeferredStatus | null {
    if (this.current === null) return null;
    const { config, store } = this.#process;
    const { report, standing } = this.current;
    const { waiting, stopped, unverified } = standing.totals();
    const { groups, soonest } = standing.summary;
    const losses = groups.flatMap(({ state, route, oldest: came }) => {
      const window = windowOf(config(), route);
      return state === 'waiting' && window !== null && came > 0 ? [{ at: came + window, came }] : [];
    });
    return {
      store: isDirectory(store.store) ? store.store : new URL(store.store).host,
      problem: report.problem?.why ?? null,
      problemKind: report.problem?.kind ?? 'failing',
      turnedAwayAt: report.turnedAway?.at ?? null,
      storeLost: report.loss,
      firstLoss: losses.toSorted((one, other) => one.at - other.at)[0] ?? null,
      sends: redelivers(config()),
      ...{ waiting: waiting.deliveries, stopped: stopped.deliveries, unverified: unverified.deliveries },
      whys: groups
        .filter(({ state }) => state === 'unverified')
        .map(({ failure: why, secret, deliveries }) => ({ why, secret, deliveries })),
      bytes: waiting.bytes + stopped.bytes + unverified.bytes,
      oldest: waiting.oldest || null,
      deliveries: soonest.map(({ id, state, wait, note }) => {
        const { at = 0, route = null, attempts = 0, failure: lastFailure = 'unreadable' } = note ?? {};
        const nextTry = state === 'waiting' ? Math.round(standing.at + wait) : null;
        return { id, state, at, route, attempts, lastFailure, nextTry };
      }),
    };
  }

  /** Null if it cannot be loaded. */
  async #open(): Promise<Queue | null> {
    const { config, log, ...rest } = this.#process;
    try {
      const { Queue } = await import('../redelivery/queue.ts');
      this.current ??= new Queue({
        ...rest,
        maxHeader: () => config().limits.maxHeader,
        mostBody: () => mostBody(config()),
        windowOf: (route) => windowOf(config(), route),
        tell: (level, message, fields) => log[level](message, fields),
      });
    } catch (error) {
      log.error('redelivery could not be loaded', { problem: String(error) });
    }
    return this.current;
  }
}

/** A route's `redeliver`, else the longest of all; null if no route has it. */
function windowOf(config: Config, route: string | null): number | null {
  const having = routesOf(config).filter(({ redeliver }) => redeliver !== null);
  const own = having.filter(({ path }) => path === route);
  const windows = (own.length > 0 ? own : having).map(({ redeliver }) => redeliver ?? 0);
  return windows.length === 0 ? null : Math.max(...windows);
}
