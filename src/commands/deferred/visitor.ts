// The store of deferred deliveries for a command beside the proxy: it lists, reads and drops, and claims nothing.
import type { Config } from '../../config/config.ts';
import { mostHead } from '../../redelivery/record.ts';
import { openStore } from '../../redelivery/stores/open-store.ts';
import type { DeferredStore } from '../../redelivery/stores/store.ts';
import { mostBody } from '../../runtime/ruleset.ts';
import { readPasswordFile } from '../../secrets/sources.ts';
import type { Io } from '../command-line.ts';

/** Why the command exits with 1, for people. */
export class DeferredError extends Error {
  override readonly name = 'DeferredError';
}

export function noSuchId(id: string): DeferredError {
  return new DeferredError(`nothing is deferred under the ID ${id}`);
}

export interface Deferred {
  readonly store: DeferredStore;
  /** The running proxy's admin port. */
  readonly admin: URL;
  readonly json: boolean;
  readonly io: Io;
}

/** Opens the configured store. Rejects if it can't be used. */
export async function openVisitor(config: Config, io: Io): Promise<DeferredStore> {
  const { redelivery, limits } = config;
  return openStore(
    {
      ...redelivery,
      as: 'visitor',
      mostBytes: () => mostHead(limits.maxHeader) + mostBody(config),
      readPassword: (file) => readPasswordFile('redelivery', file),
      onRemark: (message) => io.stderr(`warning: ${message}\n`),
    },
    () => {}, // each call says what is wrong
  );
}
