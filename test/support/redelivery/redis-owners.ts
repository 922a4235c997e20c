// A `test` with stores of deferred deliveries that share a server. They end with the test.
import type { StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { test as base } from '../once/once.ts';
import { REDIS_OR_VALKEY, type RedisServer } from '../once/redis.ts';
import { type Opened, opened, ready } from './redis-store.ts';

interface Fixtures {
  readonly server: RedisServer;
  /** Opens one more, on `server` unless `store` says otherwise, whether or not the server is available. */
  readonly attempt: (options?: Partial<StoreOptions>) => Promise<Opened>;
  /** The same, ready once it is returned, and without the failures until then. */
  readonly open: (options?: Partial<StoreOptions>) => Promise<Opened>;
}

export const test = base.extend<Fixtures>({
  server: async ({ redis }, use) => {
    await use(await redis(REDIS_OR_VALKEY));
  },
  attempt: async ({ server }, use) => {
    const stores: Opened[] = [];
    await use(async (options) => {
      const one = await opened(server.url, options);
      stores.push(one);
      return one;
    });
    await Promise.all(stores.map(({ store }) => store.close()));
  },
  open: async ({ attempt }, use) => {
    await use(async (options) => {
      const one = await attempt(options);
      await ready(one.store);
      one.failures.length = 0; // on a busy machine it may open before it is connected
      return one;
    });
  },
});
