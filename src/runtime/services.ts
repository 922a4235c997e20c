// The parts that live as long as the process: created from the first ruleset and updated with each later one.
// They always ask for the current policy and never keep one.
import type { Writable } from 'node:stream';
import { RecentRequests } from '../admin/recent-requests.ts';
import { automaticLimit, ByteBudget } from '../bodies/budget.ts';
import type { Config } from '../config/config.ts';
import type { Env } from '../config/environment.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { mostUnreadAnswers } from '../downstream/unread-answers.ts';
import { createLog, type Log } from '../log/log.ts';
import { LogOutput } from '../log/output.ts';
import { RequestLog } from '../log/request-log.ts';
import { Metrics, type SeriesPlan } from '../metrics/metrics.ts';
import { Deliveries } from '../once/deliveries.ts';
import { openStore } from '../once/store.ts';
import { Pipeline } from '../pipeline.ts';
import { changedIds } from '../secrets/rotation.ts';
import { readPasswordFile, type SecretMaterial } from '../secrets/sources.ts';
import { bypassAddress, Exposure } from '../upstream/exposure-check.ts';
import { Upstream } from '../upstream/upstream.ts';
import { RedeliveryHolder } from './redelivery-holder.ts';
import { deliversOnce, type Ruleset, routesOf } from './ruleset.ts';
import { certificatesOf } from './tls-files.ts';

/** The parts of the process that the app needs. */
export interface Effects {
  /** From the command line; null for the usual places. */
  readonly configFile: string | null;
  readonly env: Env;
  /** Receives the log. It may fail, block or fill up. */
  readonly stdout: Writable;
}

export interface Services {
  readonly log: Log;
  readonly output: Pick<LogOutput, 'dropped' | 'lastDropped'>;
  readonly metrics: Metrics;
  readonly requests: RequestLog;
  readonly recent: RecentRequests;
  readonly upstream: Upstream;
  readonly listener: Listener;
  readonly exposure: Exposure;
  /** Null until a route has `once`. */
  deliveries(): Deliveries | null;
  readonly redelivery: RedeliveryHolder;
  readonly pipeline: Pipeline;
  adopt(next: Ruleset, before: Ruleset): void;
}

/** Creates the services from the first ruleset. `current` returns the one in force. */
export function createServices(first: Ruleset, current: () => Ruleset, { env, stdout }: Effects): Services {
  const { config } = first.loaded;
  const policy = () => current().policy;
  const output = new LogOutput(stdout, env, config.log.format);
  const log = createLog(config.log.level, output.write);
  const requests = new RequestLog(log, config.log.requests);
  const recent = new RecentRequests();
  const metrics = new Metrics(seriesPlan(first), Date.now);
  const budget = new ByteBudget(budgetOf(config));
  const upstream = new Upstream({ ...config.upstream, queue: config.limits.connections, tls: first.upstreamTls });
  let deliveries: Deliveries | null = null;
  const openedDeliveries = () => {
    deliveries ??= createDeliveries(config.once, log);
    return deliveries;
  };
  // The store connects early, so that problems are logged before the first event.
  if (deliversOnce(config)) openedDeliveries();
  const redelivery = new RedeliveryHolder({
    config: () => current().loaded.config,
    redelivery: config.redelivery,
    readPassword: (file) => readPasswordFile('redelivery', file),
    policy,
    upstream,
    budget,
    deliveries: openedDeliveries,
    log,
    metrics,
  });
  const pipeline = new Pipeline({ policy, upstream, budget, deliveries: openedDeliveries, room: redelivery });
  const listener = new Listener(listenerLimits(first), {
    onRequest: (exchange) => pipeline.begin(exchange),
    onEnd: (record) => {
      metrics.record(record);
      requests.record(record);
      recent.record(record);
    },
  });
  const bypass = bypassAddress(env.POD_IP, upstream.pool.address, config.listen.port);
  const exposure = new Exposure(bypass, (now) => {
    const where = typeof bypass === 'string' ? {} : { ...bypass };
    if (now === 'exposed') log.warn('clients can bypass the proxy and reach the upstream', where);
    else log.info('clients can no longer bypass the proxy', where);
  });
  metrics.watch({
    requests_in_flight: () => listener.inFlight,
    connections: () => listener.connections,
    buffered_bytes: () => budget.used,
    buffered_bytes_limit: () => budget.limit,
    upstream_exposed: () => (exposure.state === 'exposed' ? 1 : 0),
    once_entries: () => deliveries?.entries() ?? 0,
    once_store_failures_total: () => deliveries?.failures ?? 0,
    deferred: () => redelivery.totals(),
    deferred_store_failures_total: () => redelivery.current?.failures ?? 0,
    log_lines_dropped_total: () => output.dropped,
  });

  // Loads early too, so that what was deferred before a restart is sent.
  redelivery.adopt();

  function adopt(next: Ruleset, before: Ruleset): void {
    const { config } = next.loaded;
    if (deliversOnce(config)) openedDeliveries();
    metrics.replan(seriesPlan(next));
    recent.traffic.keepOnly(routesOf(config).map(({ path }) => path));
    metrics.valuesChanged(changedIds(before.materials, next.materials));
    budget.limit = budgetOf(config);
    output.format = config.log.format;
    log.setLevel(config.log.level);
    requests.mode = config.log.requests;
    listener.adopt(listenerLimits(next));
    upstream.limiter.queueLimit = config.limits.connections;
    exposure.watch(config.upstream.checkExposure ? 'on' : 'off');
    if (next.upstreamTls !== before.upstreamTls) upstream.pool.replaceTls(next.upstreamTls);
    redelivery.adopt();
  }

  const parts = { log, output, metrics, requests, recent, upstream, listener, exposure, redelivery, pipeline };
  return { ...parts, deliveries: () => deliveries, adopt };
}

function seriesPlan(ruleset: Ruleset): SeriesPlan {
  const { loaded, materials } = ruleset;
  const ends = new Map(
    certificatesOf(loaded.config, ruleset).map(({ certificate, notAfter }) => [certificate, notAfter]),
  );
  return {
    routes: routesOf(loaded.config),
    secrets: onePerId(materials),
    certificates: { listen: ends.get('listen') ?? null, upstream_client: ends.get('upstream_client') ?? null },
    configSha256: loaded.sha256,
    checkExposure: loaded.config.upstream.checkExposure,
  };
}

/** One secret per id, a usable one if possible. */
function onePerId(materials: readonly SecretMaterial[]): readonly SecretMaterial[] {
  const secrets = materials.filter(({ kind }) => kind === 'secret');
  const byId = Map.groupBy(secrets, ({ id }) => id);
  return [...byId.values()].flatMap((same) => same.find(({ key }) => key !== null) ?? same.slice(0, 1));
}

function createDeliveries(once: Config['once'], log: Log): Deliveries {
  return new Deliveries({
    open: (onChange) => openStore({ ...once, readPassword: (file) => readPasswordFile('once', file) }, onChange),
    onStoreFailure: once.onStoreFailure,
    onChange: (problem) => {
      if (problem === null) log.info('the store of delivered events works again');
      else log.error('the store of delivered events fails', { problem, on_failure: once.onStoreFailure });
    },
  });
}

function listenerLimits({ loaded: { config }, listenTls }: Ruleset): ListenerLimits {
  const unreadAnswers = mostUnreadAnswers();
  return { ...config.limits, keepAlive: config.listen.keepAlive, tls: listenTls, unreadAnswers, whenMany: 'keep' };
}

/** Bytes. */
function budgetOf({ limits }: Config): number {
  return limits.bufferedBytes === 'auto' ? automaticLimit() : limits.bufferedBytes;
}
