// The choice of a store of deferred deliveries.
import { isDirectory } from '../../base/default-places.ts';
import type { DeferredStore, OnStoreChange, StoreOptions } from './store.ts';

/** Opens the configured store. Only the code of that store is loaded. `onChange` may be called at any time. */
export async function openStore(options: StoreOptions, onChange: OnStoreChange): Promise<DeferredStore> {
  if (isDirectory(options.store)) {
    const { createSqliteStore } = await import('./sqlite.ts');
    return createSqliteStore(options, onChange);
  }
  const { createRedisStore } = await import('./redis.ts');
  return createRedisStore(options, onChange);
}
