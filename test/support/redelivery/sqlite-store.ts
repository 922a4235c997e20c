// Embedded stores in directories of their own, and what tests do to their files.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test as base } from 'vitest';
import { ignore } from '../../../src/base/errors.ts';
import { type DeferredStore, fileIn, type StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { testDirectory } from '../machine/files.ts';
import { eventually } from '../proxy/proxied.ts';
import { altered } from './proxy.ts';
import { eventOf, openedAt, type StorePlace } from './stores.ts';

export async function makePlace(): Promise<StorePlace> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-deferred-'));
  return {
    open: async (options) => (await openedAt(directory, options)).store,
    endLeases: async () => altered(directory, 'UPDATE event SET due = 1 WHERE lease IS NOT NULL'),
    writeNote: async (id, text) => altered(directory, 'UPDATE event SET note = ? WHERE id = ?', text, id),
    clean: () => rm(directory, { recursive: true }),
  };
}

export const test = base
  /** Has no store yet. */
  .extend('directory', ({ onTestFinished }) => testDirectory(onTestFinished))
  /** The folder and the file of its store. */
  .extend('folder', ({ directory }) => dirname(fileIn(directory)))
  .extend('file', ({ directory }) => fileIn(directory))
  /** Opens the store, which the end of the test closes. */
  .extend('open', ({ directory, onTestFinished }) => async (options?: Partial<StoreOptions>) => {
    const one = await openedAt(directory, options);
    onTestFinished(() => one.store.close().catch(ignore));
    return one;
  });

/** Stores until it works again: a thread that ended starts again after a second. */
export const storedAgain = (store: DeferredStore, event = eventOf()) =>
  eventually(async () => /^(?:stored|replaced)$/.test(`${await store.add(event, 60_000).catch(String)}`), true);
