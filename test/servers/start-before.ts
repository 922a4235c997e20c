// The proxy in front of a real server.
import { SECRET } from '../support/deliveries/signer.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';

interface Config {
  readonly upstream?: object;
  readonly [key: string]: unknown;
}

export const startBefore = (port: number, { upstream, ...config }: Config): Promise<RunningProxy> =>
  startProxy({
    config: { upstream: { url: `http://127.0.0.1:${port}`, ...upstream }, log: { requests: 'none' }, ...config },
    secrets: { current: SECRET },
  });
