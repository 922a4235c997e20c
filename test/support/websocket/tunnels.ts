// A `test` with proxies that allow WebSockets on two routes, and upstreams that echo. All of them end with the test.
import { createServer } from 'node:http';
import { test as base, starting } from '../proxy/proxied.ts';
import type { RunningProxy } from '../proxy/proxy.ts';
import { startEcho } from './client.ts';

export const ROUTES = [
  { path: '/live', action: 'forward', upgrade: ['websocket'] },
  { path: '/ws/*', action: 'forward', upgrade: ['websocket'] },
];

export const test = base
  /** As `startEcho`. */
  .extend('startEchoing', starting(startEcho))
  /** On a free loopback port. */
  .extend('echo', ({ startEchoing }) => startEchoing(createServer(), { url: 'http://127.0.0.1' }))
  .override(
    'proxyTo',
    ({ start }) =>
      ({ url }, config = {}, options = {}) =>
        start({ upstream: { url }, routes: ROUTES, log: { requests: 'all' }, ...config }, options),
  );

export const liveOf = (proxy: RunningProxy) => `ws://127.0.0.1:${proxy.port}/live`;
