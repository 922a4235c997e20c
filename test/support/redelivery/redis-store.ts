// Stores of deferred deliveries on a real Redis or Valkey. The caller closes them, but those of `test`.
import { randomUUID } from 'node:crypto';
import { type DeferredStore, ID_LENGTH, type StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { test as base } from '../once/once.ts';
import { REDIS_OR_VALKEY, type RedisServer } from '../once/redis.ts';
import { waitFor } from '../runner/wait-for.ts';
import { idOf, openedAt, type StorePlace } from './stores.ts';

export const NAME = 'orders';

/** Does not wait for the server. */
export const opened = (url: string, options: Partial<StoreOptions> = {}) => openedAt(url, { name: NAME, ...options });

/** Resolves when the store answers: on a busy machine it may open before it is connected. */
export async function ready(store: DeferredStore): Promise<DeferredStore> {
  await waitFor(() => store.find('0'));
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

/** Lets a lease end, as if who has it stood still; `text`: the event's in `due`. */
export async function endLease(server: RedisServer, text: string, name = NAME): Promise<void> {
  await writeKnown(server, text.slice(-ID_LENGTH), { due: 1 }, name);
  await server.ask('ZADD', `${prefixOf(name)}due`, '1', text);
}

/** A place of its own on a server that is there already. */
export function placeOn(server: RedisServer): StorePlace {
  const name = randomUUID();
  return {
    open: async (options = {}) => ready((await opened(server.url, { name, ...options })).store),
    async endLeases() {
      for (const text of (await server.ask('ZRANGE', `${prefixOf(name)}due`, '0', '-1')) as string[])
        if ((await known(server, text.slice(-ID_LENGTH), name)).lease !== '') await endLease(server, text, name);
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

export const test = base
  .extend('server', ({ redis }) => redis(REDIS_OR_VALKEY))
  /** Opens one more, on `server` unless `store` says otherwise, whether or not the server is available. */
  .extend('attempt', ({ server, onTestFinished }) => async (options?: Partial<StoreOptions>) => {
    const one = await opened(server.url, options);
    onTestFinished(() => one.store.close());
    return one;
  })
  /** The same, ready once it is returned, and without the failures until then. */
  .extend('open', ({ attempt }) => async (options?: Partial<StoreOptions>) => {
    const one = await attempt(options);
    await ready(one.store);
    one.failures.length = 0; // on a busy machine it may open before it is connected
    return one;
  });
