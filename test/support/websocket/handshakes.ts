// A `test` that sends WebSocket handshakes to an upstream on raw sockets. The tests of a file share that upstream, and
// the proxies with the same settings: a start takes longer than all else in them.
import type { Socket } from 'node:net';
import { test as base, expect } from 'vitest';
import { openClient } from '../http/raw-client.ts';
import { untilAtRest } from '../proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { type RawUpstream, startRawUpstream } from '../upstream/raw-upstream.ts';
import { AGREED } from './client.ts';

type Settings = Readonly<Record<string, unknown>> & {
  /** Of the handshake; `/live` unless given. */
  readonly route?: string;
};

export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  .extend('upstream', { scope: 'file' }, async ({}, { onCleanup }) => {
    const upstream = await startRawUpstream();
    onCleanup(upstream.close);
    return upstream;
  })
  /** Gives the file's proxy with these settings of `upstream`. */
  .extend('proxyWith', { scope: 'file' }, async ({ upstream }, { onCleanup }) => {
    const proxies = new Map<string, Promise<RunningProxy>>();
    onCleanup(async () => {
      for (const proxy of proxies.values()) await (await proxy).stop();
    });
    return (settings: object): Promise<RunningProxy> => {
      const key = JSON.stringify(settings);
      const proxy = proxies.get(key) ?? startFor(upstream, settings);
      proxies.set(key, proxy);
      return proxy;
    };
  })
  /** Opens a client to it. */
  .extend('start', ({ upstream, proxyWith }, { onCleanup }) => {
    const attempts: Awaited<ReturnType<typeof attemptAt>>[] = [];
    onCleanup(async () => {
      for (const { client } of attempts) client.destroy();
      await upstream.stop();
      await upstream.listen();
      upstream.heads.length = 0;
      for (const { proxy } of attempts) await untilAtRest(proxy);
    });
    return async ({ route = '/live', ...settings }: Settings = {}) => {
      const attempt = await attemptAt(await proxyWith(settings), route);
      attempts.push(attempt);
      return attempt;
    };
  })
  /** Makes the upstream act on the handshake; resolves with its socket once the handshake has arrived. */
  .extend(
    'onHandshake',
    ({ upstream }) =>
      (act: (socket: Socket) => void): Promise<Socket> =>
        new Promise((resolve) => {
          upstream.script((socket) => {
            act(socket);
            resolve(socket);
          });
        }),
  )
  /** Resolves when the upstream has no sockets left. */
  .extend(
    'noneLeft',
    ({ upstream }) =>
      () =>
        expect.poll(() => upstream.sockets.size).toBe(0),
  );

/** Routes with one short timeout each, since a busy machine exceeds it, too. */
export const SOON_IDLE = '/soon-idle';
export const SOON_LATE = '/soon-late';
/** An upstream that closes once its client has. */
export const polite = (socket: Socket) => void socket.once('end', () => socket.end());
export const agrees = (socket: Socket) => void socket.write(AGREED);
export const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

function startFor(upstream: RawUpstream, settings: object): Promise<RunningProxy> {
  const route = (path: string, limits = {}) => ({ path, action: 'forward', upgrade: ['websocket'], ...limits });
  return startProxy({
    config: {
      upstream: { url: upstream.url, retryConnectFor: '1s', ...settings },
      routes: [
        route('/live'),
        route(SOON_IDLE, { idleTimeout: '500ms' }),
        route(SOON_LATE, { responseTimeout: '500ms' }),
      ],
      log: { requests: 'all' },
    },
    secrets: { current: 'web-socket-secret-0123456789abcdef' },
  });
}

async function attemptAt(proxy: RunningProxy, route: string) {
  const earlier = { lines: proxy.logs().length, metrics: await proxy.metrics() };
  const logged = () =>
    proxy
      .logs()
      .slice(earlier.lines)
      .find(({ path }) => path === route);
  return {
    proxy,
    client: await openClient(proxy),
    /** The log line of the request to its route, once that has ended. */
    async ended() {
      await proxy.waitForLog(() => logged() !== undefined, 'the request log');
      return logged();
    },
    /** The upstream failures by this cause, without those of earlier tests. */
    async failures(cause: string) {
      const series = `entrupy_proxy_upstream_failures_total{route="${route}",cause="${cause}"}`;
      return ((await proxy.metrics()).get(series) ?? Number.NaN) - (earlier.metrics.get(series) ?? 0);
    },
    inFlight: async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'),
  };
}
