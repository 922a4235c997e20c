// A `test` with an upstream of events, proxies that deliver them once, and the stores that they share. All of them end with
// the test.
import { test as base, endAll, ending, eventually, value } from '../proxy/proxied.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { DUPLICATE, deliver, type EventUpstream, startEventUpstream } from './events.ts';
import { type RedisOptions, type RedisProgram, type RedisServer, startRedis } from './redis.ts';

interface Fixtures {
  readonly events: EventUpstream;
  readonly redis: (program: RedisProgram, options?: RedisOptions) => Promise<RedisServer>;
  /** Its one route is `/events/*`, with `once` unless `route` says otherwise; `store` is `memory` unless `once` does. */
  readonly deliverer: (options?: DelivererOptions) => Promise<RunningProxy>;
}

export interface DelivererOptions {
  readonly once?: object;
  readonly route?: object;
  readonly upstream?: object;
  readonly shutdown?: object;
  readonly listen?: object;
  readonly env?: Readonly<Record<string, string>>;
}

export const test = base.extend<Fixtures>({
  events: ending(startEventUpstream),
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  redis: ({}, use) => endAll(use, startRedis, (server) => server.kill()),
  deliverer: ({ events }, use) =>
    endAll(
      use,
      ({ once = {}, route = { once: '1h' }, upstream = {}, shutdown = {}, listen = {}, env = {} } = {}) => {
        const config = {
          upstream: { url: events.url, ...upstream },
          routes: [{ path: '/events/*', ...route }],
          unmatched: 'reject',
          listen,
          shutdown: { delay: '0s', ...shutdown },
          once,
          log: { requests: 'all' },
        };
        return startProxy({ config, secrets: { a: value('a'), b: value('b') }, env });
      },
      (proxy) => proxy.stop(),
    ),
});

/**
 * The proxy, once its store remembers: on a busy machine the second that a store is given at the start may be over
 * before it has answered, and then the first event goes on without it.
 */
export async function remembering(proxy: RunningProxy, path = '/events/remembered'): Promise<RunningProxy> {
  await eventually(() => deliver(proxy, 'remembered', { path }), DUPLICATE);
  return proxy;
}

/** Resolves when this many requests are in flight. */
export const inFlight = (proxy: RunningProxy, count: number) =>
  eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), count);

/** A key in the store. */
export const KEY = /^entrupy-once:[\w-]{43}$/;
export const keysOf = async (server: RedisServer) => (await server.ask('KEYS', '*')) as string[];
