// A `test` with proxies that allow WebSockets on two routes, and upstreams that echo. All of them end with the test.
import { createServer } from 'node:http';
import { test as base, endAll } from '../proxy/proxied.ts';
import type { ProxyOptions, RunningProxy } from '../proxy/proxy.ts';
import { type EchoUpstream, startEcho } from './client.ts';

export const ROUTES = [
  { path: '/live', action: 'forward', upgrade: ['websocket'] },
  { path: '/ws/*', action: 'forward', upgrade: ['websocket'] },
];

interface Fixtures {
  /** As `startEcho`. */
  readonly startEchoing: typeof startEcho;
  /** On a free loopback port. */
  readonly echo: EchoUpstream;
  /** Starts a proxy in front of the upstream at this URL. */
  readonly proxyTo: (url: string, config?: object, options?: Partial<ProxyOptions>) => Promise<RunningProxy>;
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  startEchoing: ({}, use) => endAll(use, startEcho, (echo) => echo.close()),
  echo: async ({ startEchoing }, use) => use(await startEchoing(createServer(), { url: 'http://127.0.0.1' })),
  proxyTo: async ({ start }, use) =>
    use((url, config = {}, options = {}) =>
      start({ upstream: { url }, routes: ROUTES, log: { requests: 'all' }, ...config }, options),
    ),
});

export const liveOf = (proxy: RunningProxy) => `ws://127.0.0.1:${proxy.port}/live`;
