// The composition root: inputs in, a running proxy out. It stops what it starts.

import { createAdminServer } from '../admin/server.ts';
import type { ReloadOutcome } from '../admin/status-snapshot.ts';
import { localUrl } from '../base/local-url.ts';
import { VERSION } from '../base/version.ts';
import { readInputs } from './inputs.ts';
import { Lifecycle } from './lifecycle.ts';
import { LiveRuleset } from './live-ruleset.ts';
import { Readiness } from './readiness.ts';
import type { Effects } from './services.ts';
import { probe, takeSnapshot } from './take-snapshot.ts';
import { Reloader } from './watch-inputs.ts';

export interface App {
  readonly port: number;
  readonly adminPort: number;
  /** Reads config, secrets and TLS files now, as SIGHUP does. */
  reload(): Promise<ReloadOutcome>;
  stop(options: { readonly delay: 'keep' | 'skip' }): Promise<void>;
}

/** Milliseconds from the start to the loading of prom-client, whose 7 ms would delay the first request. */
const METRICS_AFTER_MS = 1000;

/** Throws ConfigError or RulesetError if nothing can run, and the system's error if a port is in use. */
export async function startApp(effects: Effects): Promise<App> {
  const startedAt = Date.now();
  const { configFile, env } = effects;
  const inputs = await readInputs(configFile, env, null);
  const live = new LiveRuleset(inputs, effects);
  const { log, metrics, listener, exposure, requests } = live.services;
  const { listen, admin: adminAt, upstream: upstreamAt } = live.ruleset.loaded.config;
  const lifecycle = new Lifecycle(live);
  const readiness = new Readiness(live);
  const reloader = new Reloader(inputs, { live, readiness, configFile, env });
  const admin = createAdminServer({
    probe: () => probe(live, readiness),
    status: (probed) => takeSnapshot(startedAt, live, probed),
    started: () => readiness.started,
    readiness: () => readiness.check(),
    drain: () => lifecycle.drain(),
    reload: () => reloader.force(),
    redeliver: (id) => live.services.redelivery.current?.deliverNow(id) ?? null,
    retirePrevious: () => live.retirePrevious(),
    actionsFrom: () => live.ruleset.loaded.config.admin.actionsFrom,
    metrics,
    log,
  });

  const adminPort = await admin.listen(adminAt.host, adminAt.port);
  const port = await listener.listen(listen.host, listen.port).catch((error: unknown) => {
    admin.cutAll();
    throw error;
  });
  readiness.started = true;
  log.info('listening', {
    ...{ host: listen.host, port, admin_host: adminAt.host, admin_port: adminPort },
    ...{ upstream: upstreamAt.url, admin_url: localUrl(adminAt.host, adminPort).href, version: VERSION },
  });
  void lifecycle.checkUpstream();
  const { ready, causes } = await readiness.check();
  if (!ready) log.warn('not ready', { causes });
  reloader.start();
  exposure.watch(upstreamAt.checkExposure ? 'on' : 'off');
  // A failure is not lost: each scrape reports it.
  setTimeout(() => void metrics.prepare().catch(() => {}), METRICS_AFTER_MS).unref();

  return {
    port,
    adminPort,
    reload: () => reloader.force(),
    async stop(options) {
      const cut = await lifecycle.stop(options);
      reloader.stop();
      exposure.stop();
      await live.services.redelivery.current?.close();
      await live.services.deliveries()?.close();
      admin.cutAll();
      requests.flush();
      log.info('stopped', { cut });
    },
  };
}
