// The composition root: inputs in, a running proxy out. What is started here is stopped here, in reverse order.
import { watchExposure } from './http/exposure.ts';
import { type Env, type Inputs, readInputs } from './inputs.ts';
import { Life } from './life.ts';
import { createLineup, type Lineup } from './lineup.ts';
import { createAdminServer } from './observe/admin.ts';
import type { StatusSnapshot } from './observe/status.ts';
import { routeStatuses, secretStatuses } from './overview.ts';
import { type Outcome, Reloader } from './reload.ts';
import { buildRuleset, type Ruleset, restartNeeded, withSecrets } from './ruleset.ts';
import { fixedSources } from './secrets/fixed.ts';
import { isPrevious, retirePrevious } from './secrets/rotation.ts';
import { VERSION } from './version.ts';

/** What the program may touch of the outside. */
export interface Effects {
  /** The config file as named on the command line; null for the usual places. */
  readonly configFile: string | null;
  readonly env: Env;
  /** Takes one log line, its `\n` included. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface App {
  readonly port: number;
  readonly adminPort: number;
  /** Looks at config and secrets at once, as SIGHUP does. */
  reload(): Promise<Outcome>;
  /** Gives how many requests were cut at the end of `grace`. */
  stop(options: { readonly delay: 'keep' | 'skip' }): Promise<number>;
}

/** Throws ConfigError or RulesetError where there is nothing to run, and the system's error where a port is taken. */
export async function startApp(effects: Effects): Promise<App> {
  const { env, now } = effects;
  const startedAt = now();
  const inputs = await readInputs(effects.configFile, env, null);
  let ruleset: Ruleset = buildRuleset(inputs, null, now()).ruleset;
  const running = ruleset.loaded.config;
  let lastReload: StatusSnapshot['lastReload'] = null;
  let exposed = false;

  const lineup = createLineup({ ruleset: () => ruleset, write: effects.write, now });
  const { log, metrics, server, upstream } = lineup;
  const life = new Life(lineup, () => ruleset, now);

  const adopt = (next: Ruleset) => {
    const before = ruleset;
    ruleset = next;
    lineup.adopt(next, before);
  };
  const apply = (changed: Inputs): Outcome => {
    const { ruleset: next, failures } = buildRuleset(changed, ruleset, now());
    adopt(next);
    const ok = failures.length === 0;
    const error = failures.join('\n');
    lastReload = { ok, at: now(), error: ok ? null : error };
    metrics.reloaded(ok ? 'success' : 'failure', now());
    const restart = restartNeeded(running, next.loaded.config);
    if (restart.length > 0) log.warn('these changes need a restart', { keys: restart });
    if (ok)
      log.info('reloaded', {
        config_sha256: next.loaded.sha256,
        secrets: next.policy.keyring.secrets.map(({ id }) => id),
      });
    else log.error('reload failed in part: what was good stays', { problems: failures });
    return ok ? { ok } : { ok, error };
  };
  const reloader = new Reloader({
    first: inputs,
    read: (before) => readInputs(effects.configFile, env, before),
    apply,
  });

  const snapshot = async (): Promise<StatusSnapshot> => {
    const at = now();
    const { loaded } = ruleset;
    const restart = restartNeeded(running, loaded.config);
    const waiting = restart.length === 0 ? [] : [`changed, but only a restart brings it in: ${restart.join(', ')}`];
    return {
      version: VERSION,
      nodeVersion: process.version,
      startedAt,
      now: at,
      ...(await life.readiness()),
      draining: life.draining,
      upstream: { url: running.upstream.url, reachable: await upstream.accepts(1000), exposed },
      routes: routeStatuses(ruleset, at),
      secrets: secretStatuses(ruleset, at, (id) => metrics.lastMatch(id)),
      config: {
        file: loaded.file,
        sha256: loaded.sha256,
        warnings: [...loaded.warnings.map(({ message }) => message), ...waiting],
      },
      lastReload,
      recent: lineup.recent.counts(),
      refusals: lineup.refusals.list(),
    };
  };
  const admin = createAdminServer({
    host: running.admin.host,
    port: running.admin.port,
    status: snapshot,
    metrics,
    actions: {
      drain: () => life.drain(),
      reload: () => reloader.force(),
      retirePrevious() {
        const retired = ruleset.materials.filter(isPrevious);
        adopt(withSecrets(ruleset, retirePrevious(ruleset.materials)));
        log.warn('replaced values were retired', { secrets: retired.map(({ id }) => id) });
        return retired.length;
      },
    },
    probes: { started: () => life.started, ready: () => life.readiness() },
    log,
  });

  await logStart(lineup, ruleset);
  const adminPort = await admin.listen();
  const port = await server.listen(running.listen.host, running.listen.port).catch(async (error: unknown) => {
    await admin.close();
    throw error;
  });
  life.listening();
  log.info('listening', {
    host: running.listen.host,
    port,
    admin_host: running.admin.host,
    admin_port: adminPort,
    version: VERSION,
  });
  const { ready, causes } = await life.readiness();
  if (!ready) log.warn('not ready', { causes });
  reloader.start();
  const exposure = watchExposureOf(ruleset, { env, lineup }, (found) => {
    exposed = found;
  });

  return {
    port,
    adminPort,
    reload: () => reloader.force(),
    async stop(options) {
      reloader.stop();
      const cut = await life.stop(options);
      exposure?.stop();
      await upstream.close();
      await admin.close();
      lineup.requests.flush();
      log.info('stopped', { cut });
      return cut;
    },
  };
}

async function logStart({ log }: Lineup, { loaded, materials }: Ruleset): Promise<void> {
  for (const { key, message } of loaded.warnings) log.warn('config warning', { key, problem: message });
  for (const { id, source, problem, warnings } of materials) {
    if (problem !== null) log.error('a secret cannot be used', { secret: id, source, problem });
    for (const warning of warnings) log.warn('a secret is odd', { secret: id, source, warning });
  }
  for (const problem of await fixedSources(loaded.config.secrets)) log.warn('a secret that cannot rotate', { problem });
}

/** Only with `checkExposure` and $POD_IP, and for an upstream that has a port. */
function watchExposureOf(
  ruleset: Ruleset,
  { env, lineup }: { env: Env; lineup: Lineup },
  tell: (exposed: boolean) => void,
): { stop(): void } | null {
  const target = lineup.upstream.target();
  const { POD_IP: host } = env;
  if (!ruleset.loaded.config.upstream.checkExposure || host === undefined || host === '' || 'path' in target)
    return null;
  return watchExposure({ host, port: target.port }, (exposed) => {
    lineup.metrics.setUpstreamExposed(exposed);
    if (exposed) lineup.log.warn('the upstream also answers past the proxy', { address: host, port: target.port });
    tell(exposed);
  });
}
