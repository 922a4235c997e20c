// Stores of deferred deliveries on a real Redis or Valkey. The caller closes them.
import { randomUUID } from 'node:crypto';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { DeferredStore, StoreOptions } from '../../../src/redelivery/stores/store.ts';
import type { RedisServer } from '../once/redis.ts';
import { waitFor } from '../runner/wait-for.ts';
import { idOf, MANY_BYTES, type StorePlace } from './store-contract.ts';

export const NAME = 'orders';

/** Does not wait for the server. */
export async function opened(url: string, options: Partial<StoreOptions> = {}) {
  /** What it has reported, in order. */
  const failures: (string | null)[] = [];
  const losses: string[] = [];
  const store = await openStore({
    store: url,
    name: NAME,
    passwordFile: null,
    readPassword: () => Promise.reject(new Error('there is no password')),
    maxBytes: MANY_BYTES,
    mostBytes: () => 210_000,
    as: 'owner',
    onLoss: (message) => void losses.push(message),
    onChange: (failure) => {
      if (failure !== (failures.at(-1) ?? null)) failures.push(failure);
    },
    ...options,
  });
  return { store, failures, losses };
}

/** Resolves when the store answers: on a busy machine it may open before it is connected. */
export async function ready(store: DeferredStore): Promise<DeferredStore> {
  await waitFor(() => store.read('0'));
  return store;
}

export const prefixOf = (name = NAME) => `entrupy-deferred:{${name}}:`;
export const recordKey = (id: string, name = NAME) => `${prefixOf(name)}record:${id}`;

/** What the server knows of an event beside its record. */
export async function known(server: RedisServer, id: string, name = NAME): Promise<Record<string, unknown>> {
  return JSON.parse(String(await server.ask('HGET', `${prefixOf(name)}entries`, id)));
}

/** Writes over it, as whoever can write to the store may. */
export async function writeKnown(server: RedisServer, id: string, changes: object, name = NAME): Promise<void> {
  const text = JSON.stringify({ ...(await known(server, id, name)), ...changes });
  await server.ask('HSET', `${prefixOf(name)}entries`, id, text);
}

/** A place of its own on a server that is there already. */
export function placeOn(server: RedisServer): StorePlace {
  const name = randomUUID();
  return {
    open: async (options = {}) => ready((await opened(server.url, { name, ...options })).store),
    shared: true,
    async endLeases() {
      for (const id of (await server.ask('ZRANGE', `${prefixOf(name)}due`, '0', '-1')) as string[]) {
        const { lease } = await known(server, id, name);
        if (lease !== '') await server.ask('ZADD', `${prefixOf(name)}due`, '1', id);
      }
    },
    async writeNote(id, text) {
      await writeKnown(server, id, { note: text }, name);
    },
    async clean() {
      await server.ask('FLUSHALL');
    },
  };
}

/** Ids that are each an event of their own. */
export const idsOf = (count: number, text = '') =>
  Array.from({ length: count }, (_, at) => idOf(`${text} ${at}`, `${text} ${at}`));
