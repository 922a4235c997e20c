// A `test` with proxies and upstreams of its own, which end with it, so tests may run concurrently.
import { test as base, expect, type TestContext } from 'vitest';
import { testDirectory } from '../machine/files.ts';
import { type RedisOptions, type RedisProgram, startRedis } from '../once/redis.ts';
import { waitFor } from '../runner/wait-for.ts';
import { startLenientUpstream } from '../upstream/lenient-upstream.ts';
import { startStreamingUpstream } from '../upstream/streams.ts';
import { type Handler, startUpstream } from '../upstream/upstream.ts';
import { type ProxyOptions, startProxy } from './proxy.ts';

/** The value of a secret in these tests, long enough for every rule; that of `a` is SECRET. */
export const value = (name: string) => `value-of-${name}-0123456789-0123456789`;

type Finishing = Pick<TestContext, 'onTestFinished'>;

/** Something that a test starts, any number of times. Each ends with the test, the last one first. */
export const starting =
  <A extends readonly unknown[], T extends { close(): unknown }>(start: (...given: A) => Promise<T>) =>
  ({ onTestFinished }: Finishing) =>
  async (...given: A): Promise<T> => {
    const one = await start(...given);
    onTestFinished(async () => void (await one.close()));
    return one;
  };

export const started =
  <T extends { close(): unknown }>(start: () => Promise<T>) =>
  ({ onTestFinished }: Finishing) =>
    starting(start)({ onTestFinished })();

export const test = base
  .extend('upstream', started(startUpstream))
  /** The same for an upstream on raw sockets that accepts anything, and for one that streams. */
  .extend('lenient', started(startLenientUpstream))
  .extend('streams', started(startStreamingUpstream))
  .extend(
    'answering',
    starting((handle: Handler) => startUpstream({ handle })),
  )
  .extend('directory', ({ onTestFinished }) => testDirectory(onTestFinished))
  .extend('redis', ({ onTestFinished }) => async (program: RedisProgram, options: RedisOptions = {}) => {
    const server = await startRedis(program, options);
    onTestFinished(() => server.kill());
    return server;
  })
  /** Starts a proxy in front of `upstream`, unless the config names another; by default with one secret, `current`. */
  .extend(
    'start',
    ({ upstream, onTestFinished }) =>
      async (config: object = {}, options: Partial<ProxyOptions> = {}) => {
        const whole = { upstream: { url: upstream.url }, ...config };
        const proxy = await startProxy({ config: whole, secrets: { current: value('a') }, ...options });
        onTestFinished(async () => void (await proxy.stop()));
        return proxy;
      },
  )
  /** Starts one in front of this upstream. Unless the config says otherwise, `/notify` is verified, and `/open/*` forwarded. */
  .extend(
    'proxyTo',
    ({ start }) =>
      (upstream: { url: string }, config: ProxyConfig = {}, options = {}) =>
        start(
          {
            routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
            ...config,
            upstream: { url: upstream.url, ...config.upstream },
          },
          options,
        ),
  );

type ProxyConfig = Readonly<Record<string, unknown>> & { readonly upstream?: object };

export async function eventually<T>(look: () => T | Promise<T>, wanted: Awaited<T>): Promise<void> {
  await waitFor(async () => expect(await look()).toEqual(wanted));
}

export const untilReady = (adminUrl: string) => eventually(async () => (await fetch(`${adminUrl}/readyz`)).status, 200);
