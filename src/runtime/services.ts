// The parts that live as long as the process: made once from the first ruleset, and told of each next one.
// They ask for the policy of the moment; none of them keeps one.

import { RecentRequests } from '../admin/recent.ts';
import type { Config } from '../config/config.ts';
import { ByteBudget } from '../downstream/budget.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { createLog, type Log } from '../log/log.ts';
import { RequestLog } from '../log/request-log.ts';
import { Metrics } from '../metrics/metrics.ts';
import { Deliveries } from '../once/deliveries.ts';
import { openStore } from '../once/store.ts';
import { createPipeline } from '../pipeline.ts';
import { changedIds } from '../secrets/rotation.ts';
import { readKeyFile } from '../secrets/sources.ts';
import { type Address, Exposure } from '../upstream/exposure.ts';
import { Upstream, type UpstreamOptions } from '../upstream/upstream.ts';
import { seriesPlan } from './overview.ts';
import { deliversOnce } from './policy.ts';
import type { Ruleset } from './ruleset.ts';

export interface Services {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly requests: RequestLog;
  readonly recent: RecentRequests;
  readonly upstream: Upstream;
  readonly server: Listener;
  readonly exposure: Exposure;
  /** Null where no route has had `once` yet. */
  deliveries(): Deliveries | null;
  /** A new ruleset is in force. */
  adopt(next: Ruleset, before: Ruleset): void;
}

export interface ServicesOptions {
  readonly ruleset: () => Ruleset;
  /** The pod's own address, for `checkExposure`. */
  readonly podIp: string | undefined;
  /** Takes one log line. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export function createServices({ ruleset, podIp, write, now }: ServicesOptions): Services {
  const first = ruleset();
  const { config } = first.loaded;
  const log = createLog({ level: config.log.level, write, now });
  const requests = new RequestLog(log, config.log.requests);
  const recent = new RecentRequests(now);
  const budget = new ByteBudget(budgetOf(config));
  const upstream = new Upstream(upstreamOptions(first));
  const metrics = new Metrics(seriesPlan(first), now);
  let deliveries: Deliveries | null = null;
  const openedDeliveries = () => {
    deliveries ??= new Deliveries({
      open: (onTrouble) => openStore({ ...config.once, readPassword }, onTrouble),
      onStoreFailure: config.once.onStoreFailure,
      onFailure: () => metrics.onceStoreFailure(),
      onTrouble: (trouble) => {
        if (trouble === null) log.info('the store of delivered events answers again');
        else
          log.error('the store of delivered events fails', {
            problem: trouble,
            on_failure: config.once.onStoreFailure,
          });
      },
    });
    return deliveries;
  };
  // Early: a connection takes its time, and trouble with it is told before the first event.
  if (deliversOnce(config)) openedDeliveries();
  const pipeline = createPipeline({
    policy: () => ruleset().policy,
    upstream,
    budget,
    deliveries: openedDeliveries,
    now,
    onInformation: (route) => metrics.recordInformational(route),
  });
  const server = new Listener(listenerLimits(first), {
    onRequest: pipeline,
    onEnd: (record) => {
      metrics.record(record);
      requests.record(record);
      recent.record(record);
    },
  });
  metrics.watch({
    requests_in_flight: () => server.inFlight,
    connections: () => server.connections,
    buffered_bytes: () => budget.used,
    buffered_bytes_limit: () => budget.limit,
    once_entries: () => deliveries?.entries ?? 0,
  });
  const exposureAt = podAddress(podIp, upstream, config);
  const exposure = new Exposure(exposureAt, (exposed) => {
    metrics.setUpstreamExposed(exposed);
    if (exposed) log.warn('the upstream also answers past the proxy', { ...exposureAt });
    else log.info('the upstream does not answer past the proxy any more', { ...exposureAt });
  });
  return {
    log,
    metrics,
    requests,
    recent,
    upstream,
    server,
    exposure,
    deliveries: () => deliveries,
    adopt(next, before) {
      if (deliversOnce(next.loaded.config)) openedDeliveries();
      metrics.replan(seriesPlan(next));
      for (const id of changedIds(before.materials, next.materials)) metrics.replaced(id);
      budget.setLimit(budgetOf(next.loaded.config));
      log.setLevel(next.loaded.config.log.level);
      requests.mode = next.loaded.config.log.requests;
      server.adopt(listenerLimits(next));
      upstream.limiter.setQueue(next.loaded.config.limits.connections);
      exposure.watch(next.loaded.config.upstream.checkExposure);
      if (next.upstreamTls !== before.upstreamTls) upstream.replaceTls(next.upstreamTls);
    },
  };
}

/** `once.passwordFile`, by the one reader of files that hold secrets: a pipe must not hold it up, nor an empty file pass. */
async function readPassword(file: string): Promise<string> {
  const { key, problem } = await readKeyFile(file, { allowShort: true });
  if (key === null) throw new Error(`once.passwordFile ${file}: ${problem}`);
  return key.export().toString('utf8');
}

function listenerLimits({ loaded: { config }, listenTls }: Ruleset): ListenerLimits {
  const { limits, listen } = config;
  return {
    keepAlive: listen.keepAlive,
    maxHeader: limits.maxHeader,
    headersTimeout: limits.headersTimeout,
    connections: limits.connections,
    connectionAge: limits.connectionAge,
    tls: listenTls,
  };
}

/** Where clients could reach the upstream past the proxy; null where that can't be known, or is the proxy itself. */
function podAddress(podIp: string | undefined, upstream: Upstream, { listen }: Config): Address | null {
  const { port } = upstream;
  if (podIp === undefined || podIp === '' || port === null || port === listen.port) return null;
  return { host: podIp, port };
}

function upstreamOptions({ loaded: { config }, upstreamTls }: Ruleset): UpstreamOptions {
  const { upstream, limits } = config;
  return {
    url: upstream.url,
    connections: upstream.connections,
    queue: limits.connections,
    connectTimeout: upstream.connectTimeout,
    retryConnectFor: upstream.retryConnectFor,
    keepAlive: upstream.keepAlive,
    tls: upstreamTls,
  };
}

const MIB = 1024 * 1024;

/** Bytes. `auto`: the smaller of 64 MiB and a quarter of the container's memory. */
function budgetOf({ limits }: Config): number {
  if (limits.bufferedBytes !== 'auto') return limits.bufferedBytes;
  const container = process.constrainedMemory();
  const known = container > 0 && container < Number.MAX_SAFE_INTEGER;
  return known ? Math.min(64 * MIB, Math.floor(container / 4)) : 64 * MIB;
}
