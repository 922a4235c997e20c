// A `test` with an upstream of events, proxies that deliver them once, and the stores that they share. All of them end with
// the test.
import { test as base, eventually, started, value } from '../proxy/proxied.ts';
import type { RunningProxy } from '../proxy/proxy.ts';
import { DUPLICATE, deliver, startEventUpstream } from './events.ts';
import type { RedisServer } from './redis.ts';

export interface DelivererOptions {
  readonly once?: object;
  readonly route?: object;
  readonly upstream?: object;
  readonly shutdown?: object;
  readonly listen?: object;
  readonly env?: Readonly<Record<string, string>>;
}

export const test = base
  .extend('events', started(startEventUpstream))
  /** Its one route is `/events/*`, with `once` unless `route` says otherwise; `store` is `memory` unless `once` does. */
  .extend('deliverer', ({ events, start }) => (options: DelivererOptions = {}) => {
    const { once = {}, route = { once: '1h' }, upstream = {}, shutdown = {}, listen = {}, env = {} } = options;
    const config = {
      upstream: { url: events.url, ...upstream },
      routes: [{ path: '/events/*', ...route }],
      unmatched: 'reject',
      listen,
      shutdown: { delay: '0s', ...shutdown },
      once,
      log: { requests: 'all' },
    };
    return start(config, { secrets: { a: value('a'), b: value('b') }, env });
  });

/**
 * The proxy, once its store remembers: on a busy machine the second that a store is given at the start may be over
 * before it has answered, and then the first event goes on without it.
 */
export async function remembering(proxy: RunningProxy, path = '/events/remembered'): Promise<RunningProxy> {
  await eventually(() => deliver(proxy, 'remembered', { path }), DUPLICATE);
  return proxy;
}

export const failures = async (proxy: RunningProxy) =>
  (await proxy.metrics()).get('entrupy_proxy_once_store_failures_total') ?? Number.NaN;

/** Does it, and anew where one of these proxies counted a failure meanwhile: a busy machine's store may miss its second. */
export async function inTime<T>(proxies: readonly RunningProxy[], act: (nth: number) => Promise<T>): Promise<T> {
  const failed = async () => (await Promise.all(proxies.map(failures))).join();
  for (let nth = 0; ; nth++) {
    const before = await failed();
    const done = await act(nth);
    if ((await failed()) === before) return done;
  }
}

/** A key in the store. */
export const KEY = /^entrupy-once:[\w-]{43}$/;
export const keysOf = async (server: RedisServer) => (await server.ask('KEYS', '*')) as string[];
