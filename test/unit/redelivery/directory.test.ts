// The store in a directory keeps what every store promises.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { MANY_BYTES, storeContract } from '../../support/redelivery/store-contract.ts';

storeContract('a directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-deferred-'));
  const defaults: StoreOptions = {
    store: directory,
    name: '',
    passwordFile: null,
    readPassword: async () => '',
    maxBytes: MANY_BYTES,
    mostBytes: () => 1_010_000,
    as: 'owner',
    onRemark: () => {},
  };
  return {
    open: (options = {}) => openStore({ ...defaults, ...options }, () => {}),
    endLeases: null,
    shared: false,
    clean: () => rm(directory, { recursive: true }),
  };
});
