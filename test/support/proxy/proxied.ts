// A `test` with proxies and upstreams of its own, which end with it, so tests may run concurrently.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, vi } from 'vitest';
import { startUpstream, type Upstream } from '../upstream/upstream.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from './proxy.ts';

export interface Fixtures {
  readonly upstream: Upstream;
  /** Starts a proxy in front of `upstream`, unless the config names another; by default with one secret, `current`. */
  readonly start: (config?: object, options?: Partial<ProxyOptions>) => Promise<RunningProxy>;
  /** A directory that is removed with the test. */
  readonly directory: string;
}

/** The value of a secret in these tests, long enough for every rule. */
export const value = (name: string) => `value-of-${name}-0123456789-0123456789`;

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  upstream: async ({}, use) => {
    const upstream = await startUpstream();
    await use(upstream);
    await upstream.close();
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  directory: async ({}, use) => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-test-'));
    await use(directory);
    await rm(directory, { recursive: true, force: true });
  },
  start: async ({ upstream }, use) => {
    const proxies: RunningProxy[] = [];
    await use(async (config = {}, options = {}) => {
      const secrets = { current: value('a') };
      const proxy = await startProxy({ config: { upstream: { url: upstream.url }, ...config }, secrets, ...options });
      proxies.push(proxy);
      return proxy;
    });
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  },
});

/** Polls until the value is as wanted; fails after 20 s with the last value. */
export async function eventually<T>(look: () => T | Promise<T>, wanted: Awaited<T>): Promise<void> {
  await vi.waitFor(async () => expect(await look()).toEqual(wanted), { timeout: 20_000, interval: 20 });
}
