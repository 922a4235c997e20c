// Embedded stores in directories of their own, and what tests do to their files.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test as base } from 'vitest';
import { ignore } from '../../../src/base/errors.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import { type DeferredStore, fileIn, type StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { testDirectory } from '../../support/machine/files.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import { altered } from '../../support/redelivery/redelivery.ts';
import { eventOf, MANY_BYTES, type StorePlace } from '../../support/redelivery/store-contract.ts';

const optionsIn = (directory: string): StoreOptions => ({
  store: directory,
  name: '',
  passwordFile: null,
  readPassword: async () => '',
  maxBytes: MANY_BYTES,
  mostBytes: () => 1_010_000,
  as: 'owner',
  onLoss: () => {},
  onChange: () => {},
});

export async function makePlace(): Promise<StorePlace> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-deferred-'));
  return {
    open: (options = {}): Promise<DeferredStore> => openStore({ ...optionsIn(directory), ...options }),
    endLeases: async () => altered(directory, 'UPDATE event SET due = 1 WHERE lease IS NOT NULL'),
    writeNote: async (id, text) => altered(directory, 'UPDATE event SET note = ? WHERE id = ?', text, id),
    shared: false,
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
  .extend('open', ({ directory, onTestFinished }) => async (options: Partial<StoreOptions> = {}) => {
    const losses: string[] = [];
    const problems: (string | null)[] = [];
    const given: StoreOptions = {
      ...optionsIn(directory),
      onLoss: (message) => void losses.push(message),
      onChange: (problem) => {
        if (problem !== problems.at(-1)) problems.push(problem);
      },
      ...options,
    };
    const store = await openStore(given);
    onTestFinished(() => store.close().catch(ignore));
    return { store, losses, problems };
  });

/** Stores until it works again: a thread that ended starts again after a second. */
export const storedAgain = (store: DeferredStore, event = eventOf()) =>
  eventually(async () => /^(?:stored|replaced)$/.test(await store.add(event, 60_000).catch(String)), true);
