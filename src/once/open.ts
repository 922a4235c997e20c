// From configuration to deliveries: the one place that knows which store a URL means. Where no route has `once` it is not
// called, and no client is loaded.
import { Deliveries, type DeliveriesOptions } from './deliveries.ts';
import { createMemoryStore } from './memory.ts';
import type { OnceStore } from './store.ts';

/** The section `once` of the configuration. */
export interface OnceSettings {
  /** `memory`, `redis://…` or `rediss://…`. */
  readonly store: string;
  readonly passwordFile: string | null;
  readonly onStoreFailure: 'forward' | 'refuse';
  /** Of the memory store. */
  readonly maxEntries: number;
}

/** Reads a file that holds a password; rejects with what is wrong with it. */
export type ReadPassword = (file: string) => Promise<string>;

export function openDeliveries(
  settings: OnceSettings,
  { readPassword, ...tell }: Pick<DeliveriesOptions, 'onFailure' | 'onTrouble'> & { readPassword: ReadPassword },
): Deliveries {
  const store = openStore(settings, readPassword, (trouble) => deliveries.setTrouble(trouble));
  const deliveries = new Deliveries({ store, onStoreFailure: settings.onStoreFailure, ...tell });
  return deliveries;
}

async function openStore(
  settings: OnceSettings,
  readPassword: ReadPassword,
  onTrouble: (trouble: string | null) => void,
): Promise<OnceStore> {
  const { store: url, passwordFile, maxEntries } = settings;
  if (url === 'memory') return createMemoryStore({ maxEntries, now: () => performance.now() });
  const { createRedisStore } = await import('./redis.ts');
  const password = passwordFile === null ? null : () => readPassword(passwordFile);
  return createRedisStore({ url, password, onTrouble });
}
