// The store of deferred deliveries for a command beside the proxy: it lists, reads and drops, and claims nothing.
import type { Config } from '../../config/config.ts';
import { openStore } from '../../redelivery/open-store.ts';
import { mostHead } from '../../redelivery/record.ts';
import type { DeferredStore } from '../../redelivery/store.ts';
import { routesOf } from '../../runtime/ruleset.ts';
import { readKeyFile } from '../../secrets/sources.ts';
import type { Io } from '../command-line.ts';

/** Why the command exits with 1, for people. */
export class DeferredError extends Error {
  override readonly name = 'DeferredError';
}

export function noSuchId(id: string): DeferredError {
  return new DeferredError(`nothing is deferred under the ID ${id}`);
}

/** What an action of `deferred` works with. */
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
  const body = Math.max(...routesOf(config).map(({ maxBody }) => maxBody));
  return openStore(
    {
      ...redelivery,
      as: 'visitor',
      limits: () => ({ head: mostHead(limits.maxHeader), body }),
      readPassword,
      onRemark: (message) => io.stderr(`warning: ${message}\n`),
    },
    () => {}, // each call says what is wrong
  );
}

async function readPassword(file: string): Promise<string> {
  const { key, problem } = await readKeyFile(file, { allowShort: true });
  if (key === null) throw new Error(`redelivery.passwordFile ${file}: ${problem}`);
  return key.export().toString('utf8');
}
