// The composition root: inputs in, a running proxy out. It stops what it starts.
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdminServer } from '../admin/server.ts';
import { blockedThreads, END_MS } from '../base/blocked-threads.ts';
import { localUrl, VERSION } from '../base/default-places.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import { type Facts, factsNow, type Probed } from '../facts.ts';
import { createDiagnosisLog } from '../health/diagnosis-log.ts';
import { readingsOf } from '../metrics/readings.ts';
import { scrapeOf } from '../metrics/recording.ts';
import { readInputs } from './inputs.ts';
import { Readiness } from './readiness.ts';
import { LiveRuleset } from './reload.ts';
import type { Effects } from './services.ts';
import { Shutdown } from './shutdown.ts';

export type RunningProxy = Awaited<ReturnType<typeof startProxy>>;

/** Milliseconds between two looks, so that no episode depends on who asks. */
const LOOK_EACH_MS = 1000;
/** Milliseconds between two that are logged. */
const LOG_EACH_MS = 15_000;
/** Milliseconds for which an answer of the app shows that it is there: a scrape must see what the page would. */
const HEARD_MS = 5000;

/** Throws ConfigError if nothing can run, and the system's error if a port is in use. */
export async function startProxy(effects: Effects) {
  const live = new LiveRuleset(await readInputs(effects.configFile, effects.env, null), effects);
  const { log, listener, upstream, exposure, requests, redelivery, once, health, descriptors, pipeline } =
    live.services;
  const { listen, admin: adminAt, upstream: upstreamAt } = live.ruleset.loaded.config;
  const shutdown = new Shutdown(live);
  const readiness = new Readiness(live);
  // Each reload records if the proxy is ready, even if no probe asks: after that, no expired secret makes it unready.
  live.onReload = () => void readiness.now();
  const facts = () => factsNow(live, readiness.unprobed());
  const sources = adminSources({ live, readiness, shutdown, facts });
  const admin = createAdminServer(sources);

  const closeStores = () => Promise.all([redelivery.close(), once()?.claims.close()]);
  const fail = async (error: unknown): Promise<never> => {
    await admin.cutAll();
    upstream.close();
    // A store left open keeps this process alive, and its lock keeps the next process out.
    await Promise.race([closeStores(), sleep(END_MS.close)]);
    throw error;
  };
  const adminPort = await admin.listen(adminAt.host, adminAt.port).catch(fail);
  const port = await listener.listen(listen.host, listen.port).catch(fail);
  readiness.started = true;
  log.info('listening', {
    host: listen.host,
    port,
    admin_host: adminAt.host,
    admin_port: adminPort,
    upstream: upstreamAt.url,
    admin_url: localUrl(adminAt.host, adminPort).href,
    version: VERSION,
  });
  void readiness.checkUpstream();
  const { ready, causes } = await readiness.now();
  if (!ready) log.warn('not ready', { causes });
  live.watch();
  health.facts = facts;
  const logDiagnoses = createDiagnosisLog(log);
  let looked = 0;
  const look = async () => {
    const isLogged = ++looked % (LOG_EACH_MS / LOOK_EACH_MS) === 0;
    // A judgement takes some 4 ms of a cold process, as much as ten requests. beforeScrape counts descriptors, too.
    if (!isLogged && !health.ledger.hasEpisode()) return;
    // Nobody may scrape.
    await (isLogged ? sources.beforeScrape() : descriptors.count());
    const advice = health.advice();
    if (isLogged) logDiagnoses(advice, Date.now());
  };
  const fails = (error: unknown) => log.error('the judgement failed', { error });
  const looks = setInterval(() => void look().catch(fails), LOOK_EACH_MS).unref();

  let lostBefore = 0;
  return {
    port,
    adminPort,
    /** Nobody scrapes what is lost in a stop: this line alone tells it. Standard output takes it now, or never. */
    tellStopped(cut = listener.inFlight) {
      const replies = listener.list().flatMap(({ exchange }) => (exchange?.fate === 'pending' ? exchange.reply : []));
      const taken = replies.filter(({ phase, status }) => phase === 'begun' && status < 400); // as if cut by `grace`
      const lost = health.ledger.lost - lostBefore + pipeline.unsettled - taken.length;
      log[lost > 0 ? 'error' : 'info']('stopped', { cut, lost });
    },
    /** Reads config, secrets and TLS files now, as SIGHUP does. Returns the problems. */
    reload: () => live.reload(),
    async stop(options: { readonly delay: 'keep' | 'skip' }) {
      lostBefore = health.ledger.lost;
      const { cut, late, until } = await shutdown.stop(options);
      live.stop();
      clearInterval(looks);
      exposure.stop();
      await Promise.race([closeStores(), late]);
      await admin.cutAll(); // what was cut has its line before `stopped`
      requests.flush();
      const blocked = await blockedThreads(END_MS.look + Math.max(0, until - performance.now()));
      if (blocked.length > 0)
        log.error('a thread hangs, so the process has to be killed', { thread: blocked.join(', ') });
      this.tellStopped(cut);
    },
  };
}

interface Running {
  readonly live: LiveRuleset;
  readonly readiness: Readiness;
  readonly shutdown: Shutdown;
  readonly facts: () => Facts;
}

export function adminSources({ live, readiness, shutdown, facts }: Running) {
  const { log, metrics, upstream, redelivery, captures, health, descriptors } = live.services;
  const deferredUpToDate = () => redelivery.storeState.upToDate();
  return {
    /** Asks what takes time: whether the upstream accepts connections, what is stored, and how many descriptors are open. */
    probe: (): Promise<unknown> => Promise.all([readiness.now('always'), deferredUpToDate(), descriptors.count()]),
    /** The same for a scrape, so that the metric `diagnosis` says what the page would. */
    beforeScrape: async (): Promise<void> => {
      // An app that has just answered need not be asked: it may take one connection at a time.
      const isHeard = performance.now() - health.lastAnswer < HEARD_MS && readiness.unprobed().error === null;
      await Promise.all([deferredUpToDate(), descriptors.count(), isHeard ? null : readiness.now('always')]);
    },
    /** The judgement of now, with the last answer of the upstream. */
    status: () => health.judge(facts()),
    started: () => readiness.started,
    readiness: (): Promise<Pick<Probed, 'ready' | 'causes'>> => readiness.now(),
    drain: () => shutdown.drain(),
    reload: () => live.reload(),
    redeliver: (id: string | null) => redelivery.deliverNow(id),
    retirePrevious: () => live.retirePrevious(),
    capture: (exchange: Exchange) => captures.begin(exchange),
    leadsBack: (key: string) => upstream.pool.leadsBack(key),
    actionsFrom: () => live.ruleset.loaded.config.admin.actionsFrom,
    expose: scrapeOf(metrics, readingsOf(live)),
    log,
  };
}
