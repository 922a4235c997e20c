// `serve`: the proxy as a process. Signals in, exit codes out (spec §2): 0 a stop that was asked for, 1 it broke or a port
// is taken, 2 bad config, 130 or 143 on a second signal.
import { startApp } from '../app.ts';
import { ConfigError, formatProblem, loadConfig } from '../config/load.ts';
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
    const load = () => loadConfig({ file: values.config ?? null, env: io.env });
    try {
      return await serve(await load(), load, io);
    } catch (error) {
      if (error instanceof ConfigError) {
        for (const problem of error.problems) io.stderr(`${formatProblem(problem)}\n`);
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

async function serve(
  loaded: Awaited<ReturnType<typeof loadConfig>>,
  reload: () => ReturnType<typeof loadConfig>,
  io: Io,
): Promise<number> {
  const app = await startApp(loaded, { env: io.env, write: io.stdout, now: Date.now, reload });
  const stopped = Promise.withResolvers<number>();
  let asked = false;
  const onSignal = (signal: NodeJS.Signals) => {
    // A second signal means now: nothing is flushed or waited for.
    if (asked) process.exit(signal === 'SIGINT' ? 130 : 143);
    asked = true;
    app.stop({ delay: signal === 'SIGINT' ? 'skip' : 'keep' }).then(() => stopped.resolve(0), stopped.reject);
  };
  const onReload = () => void app.reload();
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', onReload);
  const code = await stopped.promise;
  process.off('SIGTERM', onSignal);
  process.off('SIGINT', onSignal);
  process.off('SIGHUP', onReload);
  return code;
}
