// One proxy, and the upstream behind it, for all tests of a file or of a `describe`: a start takes longer than most tests.
import { afterAll, afterEach, beforeAll } from 'vitest';
import { SECRET } from '../deliveries/signer.ts';
import { endClients } from '../http/raw-client.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from './proxy.ts';

type Config = Readonly<Record<string, unknown>> & { readonly upstream?: object };

/**
 * `upstream` of the config, which may be known only once the file's own `beforeAll` has run, is added to its URL. The one secret
 * is SECRET, unless the options say otherwise.
 */
export function shared<U extends { readonly url: string; close(): Promise<void> }>(
  start: () => Promise<U>,
  config: Config | (() => Config) = {},
  options: Partial<ProxyOptions> = {},
): { readonly proxy: RunningProxy; readonly upstream: U } {
  const running: { proxy?: RunningProxy; upstream?: U } = {};
  beforeAll(async () => {
    const upstream = await start();
    running.upstream = upstream;
    const given = typeof config === 'function' ? config() : config;
    const all = { ...given, upstream: { url: upstream.url, ...given.upstream } };
    running.proxy = await startProxy({ config: all, secrets: { current: SECRET }, ...options });
  });
  // Of concurrent tests nobody knows whose they are.
  afterEach(({ task }) => (task.concurrent ? undefined : endClients()));
  afterAll(async () => {
    await running.proxy?.stop();
    await running.upstream?.close();
  });
  return running as { proxy: RunningProxy; upstream: U };
}
