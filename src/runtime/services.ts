// The parts that live as long as the process: created from the first ruleset and updated with each later one.
// They always ask for the current policy and never keep one.
import type { Writable } from 'node:stream';
import { Captures } from '../admin/captures.ts';
import { ByteBudget } from '../bodies/budget.ts';
import type { Config } from '../config/config.ts';
import type { Env } from '../config/variables.ts';
import { deliversOnce } from '../core/routes.ts';
import type { Handler } from '../downstream/client-exchange.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { mostUnreadAnswers } from '../downstream/unread-answers.ts';
import { Health } from '../health/health.ts';
import { createLog, type Fields, type Log } from '../log/log.ts';
import { LogOutput } from '../log/output.ts';
import { RequestLog } from '../log/request-log.ts';
import { Metrics } from '../metrics/recording.ts';
import { Claims } from '../once/claims.ts';
import { createMemoryStore } from '../once/store.ts';
import { Pipeline } from '../pipeline.ts';
import { Queue } from '../redelivery/queue.ts';
import { lastMatch, recordMatch } from '../secrets/key-from-value.ts';
import { readPasswordFile, type SecretMaterial } from '../secrets/sources.ts';
import { bypassAddress, Exposure } from '../upstream/exposure.ts';
import { Upstream } from '../upstream/upstream.ts';
import { budgetOf, Descriptors } from './machine-limits.ts';
import type { Ruleset } from './ruleset.ts';

/** The parts of its process that the proxy uses. */
export interface Effects {
  /** The file of `--config`; null: $ENTRUPY_PROXY_CONFIG, else the default path if there is a file. */
  readonly configFile: string | null;
  readonly env: Env;
  /** Receives the log. The stream may fail, block or fill up. */
  readonly stdout: Writable;
}

export type Services = ReturnType<typeof createServices>;

export function createServices(first: Ruleset, current: () => Ruleset, { env, stdout }: Effects) {
  const { config } = first.loaded;
  const policy = () => current().policy;
  const configNow = () => current().loaded.config;
  const output = new LogOutput(stdout, env, config.log.format);
  const log = createLog(config.log.level, output.write);
  const requests = new RequestLog(log, config.log.requests);
  const health = new Health(() => policy().settings.responseTimeout);
  const metrics = new Metrics(seriesPlan(first));
  const budget = new ByteBudget(budgetOf(config));
  const upstream = new Upstream({ ...config.upstream, queue: config.limits.connections, tls: first.upstreamTls });
  let once: ReturnType<typeof openOnce> | null = null;
  const claims = () => {
    once ??= openOnce(configNow().once, log);
    return once.claims;
  };
  const needs = { policy, upstream, budget, claims };
  const tellLoss = (fields: Fields) =>
    new Promise<boolean>((resolve) => {
      createLog('error', (line) => output.writeSurely(line, resolve)).error('lost', fields);
    });
  const redelivery = new Queue({
    storeSettings: () => ({ ...configNow().redelivery, readPassword: (file) => readPasswordFile('redelivery', file) }),
    ...needs,
    log,
    tellLoss,
    onResult: (ended) => metrics.redelivered(ended),
    onSending: (sending) => health.sentAgain(sending),
  });
  const pipeline = new Pipeline({
    ...needs,
    storing: redelivery.storing,
    onVerified: recordMatch,
    onFate: (delivery) => {
      metrics.deliver(delivery);
      health.deliver(delivery);
      requests.record(delivery);
    },
    tellsRefused: () => requests.mode === 'all',
  });
  const handler: Handler = {
    onRequest: (exchange) => pipeline.begin(exchange),
    onRequestEnd(record) {
      metrics.record(record);
      requests.record(record, health.record(record));
      captures.offer(record);
    },
    onTurnedAway(cause, address) {
      metrics.refusedConnections[cause].value++;
      requests.turnAway(cause, address);
      health.ledger.turnAway(address, performance.now());
    },
    onFailedHandshake: (why, address) => health.ledger.turnAway(address, performance.now(), why),
  };
  const listener = new Listener(listenerLimits(first), handler, budget);
  // Chunk framing may be as long as the body.
  const mostBytes = () =>
    policy().settings.maxHeader + 2 * Math.max(...policy().routes.all.map(({ maxBody }) => maxBody));
  const captures = new Captures({ log, listener, mostBytes });
  const bypass = bypassAddress(env.POD_IP, upstream.pool.address, config.listen.port);
  const exposure = new Exposure(bypass, (now) => {
    const where = typeof bypass === 'string' ? {} : { ...bypass };
    if (now === 'exposed') log.warn('clients can bypass the proxy and reach the upstream', where);
    else log.info('clients can no longer bypass the proxy', where);
  });
  // The stores open now: problems are logged before the first event, and deliveries from before a restart are sent.
  adopt(first, first);

  function adopt(next: Ruleset, before: Ruleset): void {
    const { config } = next.loaded;
    if (deliversOnce(config)) claims();
    metrics.replan(seriesPlan(next));
    health.ledger.keepOnly(next.policy.routes);
    budget.limit = budgetOf(config);
    output.format = config.log.format;
    log.level = config.log.level;
    requests.mode = config.log.requests;
    listener.adopt(listenerLimits(next));
    upstream.limiter.queueLimit = config.limits.connections;
    exposure.watch(config.upstream.checkExposure ? 'on' : 'off');
    if (next.upstreamTls !== before.upstreamTls) upstream.pool.replaceTls(next.upstreamTls);
    void redelivery.adopt();
  }

  return {
    log,
    output,
    metrics,
    lastMatch,
    budget,
    requests,
    health,
    descriptors: new Descriptors(),
    upstream,
    listener,
    exposure,
    redelivery,
    pipeline,
    captures,
    /** The claims, with the settings with which their store was opened; null until a route has `once`. */
    once: () => once,
    adopt,
  };
}

/** The routes and secrets that have series: of several secrets with one id the first, which alone may have a key. */
export function seriesPlan({ policy, materials }: Ruleset) {
  const secrets = materials.filter(({ kind }) => kind === 'secret');
  const isFirst = ({ id }: SecretMaterial, nth: number) => secrets.findIndex((secret) => secret.id === id) === nth;
  return { routes: policy.routes.all, secrets: secrets.filter(isFirst) };
}

function openOnce(settings: Config['once'], log: Log) {
  const { store, maxEntries, onStoreFailure } = settings;
  const claims = new Claims({
    /** The client for Redis is loaded only if it is needed. */
    async open(onChange) {
      if (store === 'memory') {
        onChange(null);
        return createMemoryStore(maxEntries);
      }
      const { createRedisStore } = await import('../once/redis-store.ts');
      return createRedisStore({ ...settings, readPassword: (file) => readPasswordFile('once', file) }, onChange);
    },
    onStoreFailure,
    onChange: (problem) => {
      if (problem === null) log.info('the store of delivered events works again');
      else log.error('the store of delivered events fails', { problem, on_failure: onStoreFailure });
    },
  });
  return { claims, settings };
}

function listenerLimits({ loaded: { config }, listenTls }: Ruleset): ListenerLimits {
  const unreadAnswers = mostUnreadAnswers();
  return { ...config.limits, keepAlive: config.listen.keepAlive, tls: listenTls, unreadAnswers, whenMany: 'keep' };
}
