// The composition root: a loaded config in, a running proxy out. What is started here is stopped here, in reverse order.
import { readFile } from 'node:fs/promises';
import type { Config, LoadedConfig } from './config/config.ts';
import type { Secret } from './core/keyring.ts';
import { ByteBudget } from './http/budget.ts';
import { Lingering } from './http/linger.ts';
import { TrafficServer } from './http/server.ts';
import { Upstream, type UpstreamOptions } from './http/upstream.ts';
import { type AdminServer, createAdminServer } from './observe/admin.ts';
import { createLog, type LineLog } from './observe/log.ts';
import { createMetrics, type Metrics } from './observe/metrics.ts';
import { createRecentRequests } from './observe/recent-counts.ts';
import { createRefusals } from './observe/refusals.ts';
import { createRequestLog } from './observe/request-log.ts';
import type { StatusSnapshot } from './observe/status.ts';
import { type Ruleset, routeStatuses, routesWithoutSecret, secretStatuses, seriesPlan } from './overview.ts';
import { createPipeline } from './pipeline.ts';
import { buildPolicy } from './policy.ts';
import { readSecrets } from './secrets/sources.ts';
import { VERSION } from './version.ts';

/** What the program may touch of the outside. */
export interface Effects {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes one log line, its `\n` included. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Loads the config anew, for a reload; throws ConfigError. */
  readonly reload: () => Promise<LoadedConfig>;
}

export interface App {
  readonly port: number;
  readonly adminPort: number;
  readonly log: LineLog;
  /** Not ready from now on; still serving. */
  drain(): void;
  reload(): Promise<{ readonly ok: boolean; readonly error?: string }>;
  /** Runs the stop of spec §8. Gives how many requests `grace` cut. */
  stop(options: { readonly delay: 'keep' | 'skip' }): Promise<number>;
}

/** `/-/drain` ends by itself after this long without a SIGTERM. */
const DRAIN_MS = 10 * 60 * 1000;

export async function startApp(loaded: LoadedConfig, effects: Effects): Promise<App> {
  const { now } = effects;
  const startedAt = now();
  const { config } = loaded;
  const log = createLog({ level: config.log.level, write: effects.write, now });
  const ruleset = { current: await buildRuleset(loaded, effects.env) };
  for (const warning of loaded.warnings) log.warn('config warning', { key: warning.key, problem: warning.message });
  logSecrets(log, ruleset.current);

  const budget = new ByteBudget(budgetOf(config));
  const lingering = new Lingering();
  const upstream = new Upstream(await upstreamOptions(config));
  const requests = createRequestLog({ log, mode: config.log.requests });
  const recent = createRecentRequests(now);
  const refusals = createRefusals(now);
  const server = new TrafficServer(
    {
      keepAlive: config.listen.keepAlive,
      maxHeader: config.limits.maxHeader,
      headersTimeout: config.limits.headersTimeout,
      connections: config.limits.connections,
      connectionAge: config.limits.connectionAge,
    },
    {
      onRequest: (exchange) => pipeline(exchange),
      onEnd: (record) => {
        metrics.record(record);
        requests.record(record);
        recent.record(record);
        refusals.record(record);
      },
    },
    { budget, lingering },
  );
  const metrics: Metrics = createMetrics(seriesPlan(ruleset.current, now), {
    inFlight: () => server.inFlight,
    connections: () => server.connections,
    bufferedBytes: () => budget.used,
    bufferedBytesLimit: () => budget.limit,
    onceEntries: () => 0,
    now,
    version: VERSION,
  });
  const pipeline = createPipeline({
    policy: () => ruleset.current.policy,
    upstream,
    budget,
    lingering,
    now,
    onInformation: (route) => metrics.recordInformational(route),
  });

  let drainingSince: number | null = null;
  let stopping = false;
  let listening = false;
  let everHadSecrets = false;
  let lastReload: StatusSnapshot['lastReload'] = null;

  const isDraining = () => stopping || (drainingSince !== null && performance.now() - drainingSince < DRAIN_MS);
  const readiness = async () => {
    const missing = routesWithoutSecret(ruleset.current, now());
    if (missing.length === 0) everHadSecrets = true;
    const causes = everHadSecrets ? [] : [...missing];
    if (!listening) causes.push('not listening yet');
    if (isDraining()) causes.push('draining');
    if (config.admin.readyNeedsUpstream && !(await upstream.accepts(1000)))
      causes.push('the upstream takes no connection');
    return { ready: causes.length === 0, causes };
  };
  const drain = () => {
    drainingSince = performance.now();
    server.startClosing();
    setTimeout(() => {
      if (!isDraining()) server.stopClosing();
    }, DRAIN_MS + 1000).unref();
    log.info('draining');
  };
  const reload = async () => {
    const outcome = await reloadRuleset();
    lastReload = { ok: outcome.ok, at: now(), error: outcome.ok ? null : outcome.error };
    metrics.reloaded(outcome.ok ? 'success' : 'failure', now());
    if (outcome.ok) log.info('reloaded', { config_sha256: ruleset.current.loaded.sha256 });
    else log.error('reload failed: the old configuration stays', { problems: outcome.error });
    return outcome;
  };
  const reloadRuleset = async (): Promise<{ ok: true } | { ok: false; error: string }> => {
    try {
      const next = await buildRuleset(await effects.reload(), effects.env);
      ruleset.current = next;
      metrics.replan(seriesPlan(next, now));
      budget.setLimit(budgetOf(next.loaded.config));
      log.setLevel(next.loaded.config.log.level);
      requests.setMode(next.loaded.config.log.requests);
      return { ok: true };
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error.message : String(error) };
    }
  };
  const snapshot = async (): Promise<StatusSnapshot> => {
    const at = now();
    const { loaded: from } = ruleset.current;
    const { ready, causes } = await readiness();
    return {
      version: VERSION,
      nodeVersion: process.version,
      startedAt,
      now: at,
      ready,
      causes,
      draining: isDraining(),
      upstream: { url: config.upstream.url, reachable: await upstream.accepts(1000), exposed: false },
      routes: routeStatuses(ruleset.current, at),
      secrets: secretStatuses(ruleset.current, at, (id) => metrics.lastMatch(id)),
      config: { file: from.file, sha256: from.sha256, warnings: from.warnings.map((warning) => warning.message) },
      lastReload,
      recent: recent.counts(),
      refusals: refusals.list(),
    };
  };
  const admin: AdminServer = createAdminServer({
    host: config.admin.host,
    port: config.admin.port,
    status: snapshot,
    metrics,
    actions: { drain, reload, retirePrevious: () => 0 },
    probes: { started: () => listening, ready: readiness },
    log,
  });

  const adminPort = await admin.listen();
  const port = await server.listen(config.listen.host, config.listen.port).catch(async (error: unknown) => {
    await admin.close();
    throw error;
  });
  listening = true;
  log.info('listening', {
    host: config.listen.host,
    port,
    admin_host: config.admin.host,
    admin_port: adminPort,
    version: VERSION,
  });
  const first = await readiness();
  if (!first.ready) log.warn('not ready', { causes: first.causes });

  return {
    port,
    adminPort,
    log,
    drain,
    reload,
    async stop({ delay }) {
      const drained = drainingSince === null ? 0 : performance.now() - drainingSince;
      stopping = true;
      server.startClosing();
      const { delay: milliseconds, grace } = config.shutdown;
      log.info('stopping', { in_flight: server.inFlight });
      if (delay === 'keep' && drained < milliseconds) await sleep(milliseconds - drained);
      const deadline = new AbortController();
      await Promise.race([server.stopAccepting(), sleep(grace, deadline.signal)]);
      deadline.abort();
      const cut = server.cutAll();
      if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
      await upstream.close();
      await admin.close();
      requests.flush();
      log.info('stopped');
      return cut;
    },
  };
}

async function buildRuleset(loaded: LoadedConfig, env: Effects['env']): Promise<Ruleset> {
  const materials = await readSecrets(loaded.config.secrets, env);
  const secrets: Secret[] = [];
  for (const { id, key, notBefore, notAfter } of materials)
    if (key !== null) secrets.push({ id, key, notBefore, notAfter });
  return { loaded, materials, policy: buildPolicy(loaded.config, secrets) };
}

function logSecrets(log: LineLog, ruleset: Ruleset): void {
  for (const { id, source, problem, warnings } of ruleset.materials) {
    if (problem !== null) log.error('a secret cannot be used', { secret: id, source, problem });
    for (const warning of warnings) log.warn('a secret is odd', { secret: id, source, warning });
  }
}

const MIB = 1024 * 1024;

/** `auto`: the smaller of 64 MiB and a quarter of the container's memory. */
function budgetOf(config: Config): number {
  if (config.limits.bufferedBytes !== 'auto') return config.limits.bufferedBytes;
  const container = process.constrainedMemory();
  const known = container > 0 && container < Number.MAX_SAFE_INTEGER;
  return known ? Math.min(64 * MIB, Math.floor(container / 4)) : 64 * MIB;
}

async function upstreamOptions({ upstream, limits }: Config): Promise<UpstreamOptions> {
  return {
    url: upstream.url,
    connections: upstream.connections,
    queue: limits.connections,
    connectTimeout: upstream.connectTimeout,
    retryConnectFor: upstream.retryConnectFor,
    keepAlive: upstream.keepAlive,
    maxHeader: 64 * 1024,
    tls: upstream.tls === null ? null : await readUpstreamTls(upstream.tls),
  };
}

async function readUpstreamTls(
  tls: NonNullable<Config['upstream']['tls']>,
): Promise<NonNullable<UpstreamOptions['tls']>> {
  return {
    ...(tls.caFile === null ? {} : { ca: await readFile(tls.caFile) }),
    ...(tls.certFile === null ? {} : { cert: await readFile(tls.certFile) }),
    ...(tls.keyFile === null ? {} : { key: await readFile(tls.keyFile) }),
    ...(tls.serverName === null ? {} : { servername: tls.serverName }),
  };
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
