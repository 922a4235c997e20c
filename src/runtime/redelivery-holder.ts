// Redelivery within the process: loaded when a route first asks for it, and not before, since most proxies never do.
import type { Config } from '../config/config.ts';
import { type DeferredTotals, noneDeferred } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Log } from '../log/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Room } from '../redelivery/failure-edge.ts';
import type { RedeliveryParts } from '../redelivery/parts.ts';
import type { Redelivery } from '../redelivery/redelivery.ts';
import { mostBody, redelivers, routesOf } from './ruleset.ts';

interface RedeliveryNeeds extends Pick<RedeliveryParts, 'policy' | 'upstream' | 'budget' | 'deliveries'> {
  /** Of the ruleset in force. */
  readonly config: () => Config;
  /** Of the start: `redelivery` changes only with a restart. */
  readonly redelivery: Config['redelivery'];
  readonly readPassword: (file: string) => Promise<string>;
  readonly log: Log;
  readonly metrics: Metrics;
}

export class RedeliveryHolder implements Room {
  readonly #needs: RedeliveryNeeds;
  #opening: Promise<Redelivery> | null = null;
  /** Null until a route asked for it and it is loaded. */
  current: Redelivery | null = null;

  constructor(needs: RedeliveryNeeds) {
    this.#needs = needs;
  }

  async defer(...delivery: Parameters<Room['defer']>): Promise<'stored' | 'passes'> {
    return this.#open().then(
      (redelivery) => redelivery.defer(...delivery),
      () => 'passes', // it could not be loaded, which the log has
    );
  }

  /** A ruleset has come into force. */
  adopt(): void {
    if (redelivers(this.#needs.config())) void this.#open().catch(() => {});
    this.current?.adopt();
  }

  totals(): DeferredTotals {
    return this.current?.totals() ?? noneDeferred();
  }

  #open(): Promise<Redelivery> {
    const { config, redelivery, readPassword, log, metrics, ...rest } = this.#needs;
    this.#opening ??= import('../redelivery/open.ts').then(({ openRedelivery }) => {
      this.current = openRedelivery({
        ...rest,
        store: { ...redelivery, readPassword },
        maxHeader: () => config().limits.maxHeader,
        mostBody: () => mostBody(config()),
        longestWindow: () => longestWindow(config()),
        tell: (level, message, fields) => log[level](message, fields),
        onResult: (route, result) => metrics.redelivered(route ?? UNMATCHED, result),
      });
      return this.current;
    });
    this.#opening.catch((error: unknown) => log.error('redelivery could not be loaded', { problem: String(error) }));
    return this.#opening;
  }
}

/** The longest `redeliver` of all routes; null if none has it. */
function longestWindow(config: Config): number | null {
  const windows = routesOf(config).flatMap(({ redeliver }) => redeliver ?? []);
  return windows.length === 0 ? null : Math.max(...windows);
}
