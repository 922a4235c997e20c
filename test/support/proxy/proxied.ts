// A `test` with proxies and upstreams of its own, which end with it, so tests may run concurrently.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, vi } from 'vitest';
import { type LenientUpstream, startLenientUpstream } from '../upstream/lenient-upstream.ts';
import { type RawUpstream, startRawUpstream } from '../upstream/raw-upstream.ts';
import { type StreamingUpstream, startStreamingUpstream } from '../upstream/streams.ts';
import { type Handler, startUpstream, type Upstream } from '../upstream/upstream.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from './proxy.ts';

export interface Fixtures {
  readonly upstream: Upstream;
  /** The same for upstreams on raw sockets: one that does what the test says, one that accepts anything, one that streams. */
  readonly raw: RawUpstream;
  readonly lenient: LenientUpstream;
  readonly streams: StreamingUpstream;
  /** Starts an upstream that answers like this. */
  readonly answering: (handle: Handler) => Promise<Upstream>;
  /** Starts a proxy in front of `upstream`, unless the config names another; by default with one secret, `current`. */
  readonly start: (config?: object, options?: Partial<ProxyOptions>) => Promise<RunningProxy>;
  /** A directory that is removed with the test. */
  readonly directory: string;
}

/** The value of a secret in these tests, long enough for every rule; that of `a` is SECRET. */
export const value = (name: string) => `value-of-${name}-0123456789-0123456789`;

type Use<T> = (given: T) => Promise<void>;

/** Something that is started for a test, and ends with it. */
export const ending =
  <T extends { close(): unknown }>(start: () => Promise<T>) =>
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  async ({}, use: Use<T>) => {
    const started = await start();
    await use(started);
    await started.close();
  };

/** Starts any number, which end with the test. */
export async function endAll<A extends readonly unknown[], T>(
  use: Use<(...given: A) => Promise<T>>,
  start: (...given: A) => Promise<T>,
  end: (one: T) => unknown,
): Promise<void> {
  const started: T[] = [];
  await use(async (...given) => {
    const one = await start(...given);
    started.push(one);
    return one;
  });
  await Promise.all(started.map(end));
}

export const test = base.extend<Fixtures>({
  upstream: ending(() => startUpstream()),
  raw: ending(() => startRawUpstream()),
  lenient: ending(startLenientUpstream),
  streams: ending(startStreamingUpstream),
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  answering: ({}, use) =>
    endAll(
      use,
      (handle) => startUpstream({ handle }),
      (upstream) => upstream.close(),
    ),
  // biome-ignore lint/correctness/noEmptyPattern: as above
  directory: async ({}, use) => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-test-'));
    await use(directory);
    await rm(directory, { recursive: true, force: true });
  },
  start: ({ upstream }, use) =>
    endAll(
      use,
      (config = {}, options = {}) =>
        startProxy({
          config: { upstream: { url: upstream.url }, ...config },
          secrets: { current: value('a') },
          ...options,
        }),
      (proxy) => proxy.stop(),
    ),
});

/** Polls until the value is as wanted; fails after 20 s with the last value. */
export async function eventually<T>(look: () => T | Promise<T>, wanted: Awaited<T>): Promise<void> {
  await vi.waitFor(async () => expect(await look()).toEqual(wanted), { timeout: 20_000, interval: 20 });
}
