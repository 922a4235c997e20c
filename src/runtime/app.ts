// The composition root: inputs in, a running proxy out. It stops what it starts.

import { createAdminServer } from '../admin/server.ts';
import { DOCS, VERSION } from '../core/version.ts';
import { readInputs } from './inputs.ts';
import { Lifecycle, UPSTREAM_PATIENCE_MS } from './lifecycle.ts';
import { LiveRuleset } from './live-ruleset.ts';
import { Reloader } from './reload.ts';
import type { Effects } from './services.ts';

export type App = Awaited<ReturnType<typeof startApp>>;

/** prom-client loads this long after the start, or at the first scrape: its 7 ms would delay the first request. */
const METRICS_AFTER_MS = 1000;

/** Throws ConfigError or RulesetError if nothing can run, and the system's error if a port is in use. */
export async function startApp(effects: Effects) {
  const startedAt = Date.now();
  const { configFile, env } = effects;
  const inputs = await readInputs(configFile, env, null);
  const running = new LiveRuleset(inputs, effects);
  const { log, metrics, server, upstream, exposure, requests } = running.services;
  const { listen, admin: adminAt, upstream: upstreamAt } = running.ruleset.loaded.config;
  const life = new Lifecycle(running);
  const reloader = new Reloader(inputs, {
    read: (before) => readInputs(configFile, env, before),
    apply: (changed) => {
      const outcome = running.apply(changed);
      // A proxy that was ready once stays ready, even if no probe asked at that moment.
      void life.readiness();
      return outcome;
    },
    fail: (error) => running.endReload(error),
  });
  const admin = createAdminServer({
    status: async () => ({
      version: VERSION,
      nodeVersion: process.version,
      startedAt,
      now: Date.now(),
      ...(await life.readiness()),
      draining: server.draining,
      upstream: {
        url: upstreamAt.url,
        reachable: await upstream.accepts(UPSTREAM_PATIENCE_MS),
        exposed: exposure.exposed,
      },
      ...running.status(Date.now()),
      docs: DOCS,
    }),
    started: () => life.started,
    readiness: () => life.readiness(),
    drain: () => life.drain(),
    reload: () => reloader.force(),
    retirePrevious: () => running.retirePrevious(),
    actionsFrom: () => running.ruleset.loaded.config.admin.actionsFrom,
    metrics,
    log,
  });

  const adminPort = await admin.listen(adminAt.host, adminAt.port);
  const port = await server.listen(listen.host, listen.port).catch((error: unknown) => {
    admin.cutAll();
    throw error;
  });
  life.started = true;
  log.info('listening', { host: listen.host, port, admin_host: adminAt.host, admin_port: adminPort, version: VERSION });
  const { ready, causes } = await life.readiness();
  if (!ready) log.warn('not ready', { causes });
  reloader.start();
  exposure.watch(upstreamAt.checkExposure);
  // Each scrape reports the failure.
  setTimeout(() => void metrics.prepare().catch(() => {}), METRICS_AFTER_MS).unref();

  return {
    port,
    adminPort,
    /** Reads config, secrets and TLS files now, as SIGHUP does. */
    reload: () => reloader.force(),
    /** Gives how many requests were cut at the end of `grace`. */
    async stop(options: { readonly delay: 'keep' | 'skip' }) {
      const cut = await life.stop(options);
      reloader.stop();
      exposure.stop();
      upstream.close();
      await running.services.deliveries()?.close();
      admin.cutAll();
      requests.flush();
      log.info('stopped', { cut });
      return cut;
    },
  };
}
