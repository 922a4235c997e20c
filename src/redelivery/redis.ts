// The store of deferred deliveries in Redis or Valkey, shared by all replicas with one name.
import type { DeferredStore, OnStoreChange, StoreOptions } from './store.ts';

export function createRedisStore(_options: StoreOptions, _onChange: OnStoreChange): Promise<DeferredStore> {
  return Promise.reject(new Error('deferred deliveries can not be stored in Redis yet'));
}
