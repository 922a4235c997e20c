// The composition root: inputs in, a running proxy out. It stops what it starts.

import { createAdminServer } from '../admin/server.ts';
import type { Env } from '../config/environment.ts';
import { DOCS, VERSION } from '../core/version.ts';
import { readInputs } from './inputs.ts';
import { Lifecycle, UPSTREAM_PATIENCE_MS } from './lifecycle.ts';
import { LiveRuleset } from './live-ruleset.ts';
import { type Outcome, Reloader } from './reload.ts';

/** What the app needs from the process. */
export interface Effects {
  /** From the command line; null for the usual places. */
  readonly configFile: string | null;
  readonly env: Env;
  /** Takes one log line, its `\n` included. */
  readonly write: (line: string) => void;
}

export interface App {
  readonly port: number;
  readonly adminPort: number;
  /** Reads config, secrets and TLS files now, as SIGHUP does. */
  reload(): Promise<Outcome>;
  /** Gives how many requests were cut at the end of `grace`. */
  stop(options: { readonly delay: 'keep' | 'skip' }): Promise<number>;
}

/** prom-client loads this long after the start, or at the first scrape: its 7 ms would delay the first request. */
const METRICS_AFTER_MS = 1000;

/** Throws ConfigError or RulesetError if nothing can run, and the system's error if a port is in use. */
export async function startApp({ configFile, env, write }: Effects): Promise<App> {
  const startedAt = Date.now();
  const inputs = await readInputs(configFile, env, null);
  const running = new LiveRuleset(inputs, { podIp: env.POD_IP, write });
  const { log, metrics, server, upstream, exposure, requests } = running.services;
  const { listen, admin: adminAt, upstream: upstreamAt } = running.ruleset.loaded.config;
  const life = new Lifecycle(running.services, () => running.ruleset);
  const reloader = new Reloader({
    first: inputs,
    read: (before) => readInputs(configFile, env, before),
    apply: (changed) => {
      const outcome = running.apply(changed);
      // A proxy that was ready once stays ready, even if no probe asked at that moment.
      void life.readiness();
      return outcome;
    },
    fail: (error) => running.fail(error),
  });
  const admin = createAdminServer({
    status: async () => ({
      version: VERSION,
      nodeVersion: process.version,
      startedAt,
      now: Date.now(),
      ...(await life.readiness()),
      draining: life.draining,
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
  life.listening();
  log.info('listening', { host: listen.host, port, admin_host: adminAt.host, admin_port: adminPort, version: VERSION });
  const { ready, causes } = await life.readiness();
  if (!ready) log.warn('not ready', { causes });
  reloader.start();
  exposure.watch(upstreamAt.checkExposure);
  // Each scrape reports the failure.
  const preparing = setTimeout(() => void metrics.prepare().catch(() => {}), METRICS_AFTER_MS).unref();

  return {
    port,
    adminPort,
    reload: () => reloader.force(),
    async stop(options) {
      const cut = await life.stop(options);
      reloader.stop();
      exposure.stop();
      clearTimeout(preparing);
      upstream.close();
      await running.services.deliveries()?.close();
      admin.cutAll();
      requests.flush();
      log.info('stopped', { cut });
      return cut;
    },
  };
}
