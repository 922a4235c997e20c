// The store of deferred deliveries for a command beside the proxy: it lists, reads and drops, and takes nothing.
import type { Config } from '../../config/config.ts';
import { mostHead } from '../../redelivery/record.ts';
import { openStore } from '../../redelivery/stores/open-store.ts';
import type { DeferredStore, Entry } from '../../redelivery/stores/store.ts';
import { mostBody } from '../../runtime/ruleset.ts';
import { readPasswordFile } from '../../secrets/sources.ts';
import type { Io } from '../command.ts';

export interface Deferred {
  readonly store: DeferredStore;
  /** The running proxy's admin port. */
  readonly admin: URL;
  readonly json: boolean;
  readonly io: Io;
}

/** Returns the exit code, or why it is 1. Rejects with the store's problem. */
export type Action = (deferred: Deferred, id: string | null) => Promise<number | string>;

export const noSuchId = (id: string | null) => `nothing is deferred under the ID ${id}`;

/** Opens the configured store. One that does not exist is empty; each call says what is wrong with another. */
export function openVisitor(config: Config, io: Io): Promise<DeferredStore> {
  const remark = (message: string) => io.stderr(`warning: ${message}\n`);
  const rules = { as: 'visitor', mostBytes: () => mostHead(config.limits.maxHeader) + mostBody(config) } as const;
  const readPassword = (file: string) => readPasswordFile('redelivery', file);
  return openStore({ ...config.redelivery, ...rules, readPassword, onRemark: remark, onLoss: remark }, () => {});
}

/** Everything that is stored, each once: a page may repeat what another one had. */
export async function everything(store: DeferredStore): Promise<ReadonlyMap<string, Entry>> {
  const found = new Map<string, Entry>();
  for await (const page of store.list()) for (const entry of page) found.set(entry.id, entry);
  return found;
}
