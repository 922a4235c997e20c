// Whether the configuration in use is the one in the file. The file is only hashed; it is parsed only if it is not in
// use, to say why.
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ApiStatus } from '../../admin/advice.ts';
import { PAGES } from '../../admin/advice-pages.ts';
import { fileProblem } from '../../base/errors.ts';
import type { Env } from '../../config/environment.ts';
import { failed, type Line, ok, unknown } from './status-lines.ts';

const ID = 'configuration';
const page = PAGES.configuration;

/** `named`: the file that the user named. `status` is null if no proxy answers. Null: the proxy runs without a file. */
export async function configurationLine(
  named: string | null,
  status: ApiStatus | null,
  env: Env,
): Promise<Line | null> {
  const file = named ?? status?.config.file ?? null;
  if (file !== null && status !== null) {
    try {
      if (hash('sha256', await readFile(file), 'hex') === status.config.sha256) return inUse(file, status);
    } catch (error) {
      const message = `${file} cannot be compared with the configuration in use: ${fileProblem(error)}.`;
      const remedy = 'Run check where the file is, or name it with --config.';
      return named === null ? unknown(ID, { message, remedy, page }) : failed(ID, { message, remedy, page });
    }
  }
  // The environment of a running process never changes.
  if (file === null && status !== null) return null;
  const refused = await refusal(file, env);
  if (refused !== null) return refused;
  if (status === null) {
    const message = `${file ?? 'The environment'} is a valid configuration; whether it is in use is not known.`;
    return unknown(ID, { message, remedy: 'Start the proxy.', page: PAGES.start });
  }
  const used = status.config.file ?? 'the environment alone';
  return failed(ID, {
    message: `${file} is not the configuration in use${used === file ? ': it has changed' : `, which is ${used}`}.`,
    remedy: 'The proxy reads a changed file within seconds. Ask it now with POST /-/reload, or restart it.',
    page: PAGES.reload,
  });
}

function inUse(file: string, { config: { awaitingRestart } }: ApiStatus): Line {
  if (awaitingRestart.length === 0) return ok(ID, `${file} is the configuration in use.`);
  const message = `${file} is in use, but for these keys, which need a restart: ${awaitingRestart.join(', ')}.`;
  return failed(ID, { message, remedy: 'Restart the proxy.', page });
}

/** A line if `serve` would refuse the configuration. */
async function refusal(file: string | null, env: Env): Promise<Line | null> {
  // Loaded only here: the parser and its libraries take as much memory as the rest of this command.
  const { loadConfig } = await import('../../config/load.ts');
  const refusedFor = (why: string): Line => {
    const remedy = 'Correct it: check-config lists every mistake at once, with its place.';
    return failed(ID, { message: `serve refuses this configuration: ${why}`, remedy, page });
  };
  try {
    const { config } = await loadConfig({ file, env });
    if (config.listen.tls === null && config.upstream.tls === null) return null;
    const { buildTls, readTlsFiles } = await import('../../runtime/tls-files.ts');
    const { failures } = buildTls(config, await readTlsFiles(config), null);
    return failures.length === 0 ? null : refusedFor(failures.join('\n'));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ConfigError') throw error;
    return refusedFor(error.message);
  }
}
