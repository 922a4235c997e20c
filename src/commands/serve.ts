// `serve`: the proxy as a process. Signals in, exit codes out (spec §2): 0 a stop that was asked for, 1 it broke or a port
// is taken, 2 bad config, 130 or 143 on a second signal.
import { type App, startApp } from '../app.ts';
import { ConfigError, formatProblem } from '../config/load.ts';
import { RulesetError } from '../ruleset.ts';
import type { Io } from './io.ts';
import { runCommand } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy [serve] [--config FILE]

Runs the proxy. The configuration is FILE, else $ENTRUPY_PROXY_CONFIG, else
/etc/entrupy-signature-proxy/config.yaml if it exists, else the environment alone.

  --config FILE   the configuration, YAML
  --help          this text

Exit codes: 0 a stop that was asked for, 1 it broke or a port is taken, 2 bad
configuration, 130 or 143 on a second signal.`;

const SHAPE = { name: 'serve', help, options: { config: 'text' }, positionals: [] } as const;

/** Resolves when the proxy has stopped. */
export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values }) => {
    try {
      return await serve(values.config ?? null, io);
    } catch (error) {
      if (error instanceof ConfigError) {
        for (const problem of error.problems) io.stderr(`${formatProblem(problem)}\n`);
        return 2;
      }
      if (error instanceof RulesetError) {
        io.stderr(`${error.message}\n`);
        return 2;
      }
      const trouble = error as NodeJS.ErrnoException & { address?: string; port?: number };
      if (trouble.syscall !== 'listen') throw error;
      io.stderr(
        `cannot listen on ${trouble.address ?? ''} port ${trouble.port ?? '?'}: ${trouble.code ?? trouble.message}\n`,
      );
      return 1;
    }
  });
}

async function serve(configFile: string | null, io: Io): Promise<number> {
  const stopped = Promise.withResolvers<number>();
  let app: App | null = null;
  let asked: NodeJS.Signals | null = null;
  const stop = (running: App, signal: NodeJS.Signals) => {
    running.stop({ delay: signal === 'SIGINT' ? 'skip' : 'keep' }).then(() => stopped.resolve(0), stopped.reject);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    // A second signal means now: nothing is flushed or waited for.
    if (asked !== null) process.exit(signal === 'SIGINT' ? 130 : 143);
    asked = signal;
    if (app !== null) stop(app, signal);
  };
  const onReload = () => void app?.reload();
  // Before the start: as PID 1 a process without a handler ignores SIGTERM and is killed at the end of the grace period.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', onReload);
  try {
    app = await startApp({ configFile, env: io.env, write: io.stdout, now: Date.now });
    if (asked !== null) stop(app, asked);
    return await stopped.promise;
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
    process.off('SIGHUP', onReload);
  }
}
