// From configuration to deliveries: the one place that knows which store a URL means. Where no route has `once` it is not
// called, and no client is loaded.
import { readFile } from 'node:fs/promises';
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

export function openDeliveries(
  settings: OnceSettings,
  tell: Pick<DeliveriesOptions, 'onFailure' | 'onTrouble'>,
): Deliveries {
  const store = openStore(settings, (trouble) => deliveries.setTrouble(trouble));
  const deliveries = new Deliveries({ store, onStoreFailure: settings.onStoreFailure, ...tell });
  return deliveries;
}

async function openStore(settings: OnceSettings, onTrouble: (trouble: string | null) => void): Promise<OnceStore> {
  const { store: url, passwordFile, maxEntries } = settings;
  if (url === 'memory') return createMemoryStore({ maxEntries, now: () => performance.now() });
  const { createRedisStore } = await import('./redis.ts');
  const password = passwordFile === null ? null : () => readPassword(passwordFile);
  return createRedisStore({ url, password, onTrouble });
}

/** As for a secret: one line break at its end is not part of it. */
async function readPassword(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`once.passwordFile ${file} cannot be read (${error.code})`);
  });
  return text.replace(/\r?\n$/, '');
}
