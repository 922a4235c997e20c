// A `test` with stores of deferred deliveries that share a server. They end with the test.
import type { StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { test as base } from '../once/once.ts';
import { REDIS_OR_VALKEY } from '../once/redis.ts';
import { opened, ready } from './redis-store.ts';

export const test = base
  .extend('server', ({ redis }) => redis(REDIS_OR_VALKEY))
  /** Opens one more, on `server` unless `store` says otherwise, whether or not the server is available. */
  .extend('attempt', ({ server, onTestFinished }) => async (options?: Partial<StoreOptions>) => {
    const one = await opened(server.url, options);
    onTestFinished(() => one.store.close());
    return one;
  })
  /** The same, ready once it is returned, and without the failures until then. */
  .extend('open', ({ attempt }) => async (options?: Partial<StoreOptions>) => {
    const one = await attempt(options);
    await ready(one.store);
    one.failures.length = 0; // on a busy machine it may open before it is connected
    return one;
  });
