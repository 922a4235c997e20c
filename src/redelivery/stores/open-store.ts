// The choice of a store of deferred deliveries.
import { isDirectory } from '../../base/default-places.ts';
import type { DeferredStore, StoreOptions } from './store.ts';

/** Opens the configured store. Only the code of that store is loaded. */
export async function openStore(options: StoreOptions): Promise<DeferredStore> {
  const { create } = isDirectory(options.store) ? await import('./sqlite.ts') : await import('./redis.ts');
  return create(options);
}
