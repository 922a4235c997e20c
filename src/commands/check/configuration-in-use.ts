// Whether the configuration in use is the one in the file, which is only hashed. Where no proxy answers: whether `serve`
// would refuse it; why, check-config says.
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ApiStatus } from '../../admin/advice/advice.ts';
import { fileProblem } from '../../base/errors.ts';
import type { Env } from '../../config/environment.ts';
import { DIAGNOSES } from '../../core/diagnoses-and-remedies.ts';
import { failed, type Line, ok, unknown } from './status-lines.ts';

const ID = 'configuration';
const page = DIAGNOSES.chosen.page;

/** Where no proxy answers. Null: the usual places. */
export async function configurationAlone(file: string | null, env: Env): Promise<Line> {
  // Loaded only here: the parser and its libraries take as much memory as the rest of this command.
  const { loadConfig } = await import('../../config/load.ts');
  const { buildTls, readTlsFiles } = await import('../../runtime/tls-files.ts');
  const notKnown = { message: 'Not known, since no proxy answers.', remedy: 'Start the proxy.' };
  const refused = failed(ID, { message: REFUSED, remedy: CORRECT, page });
  try {
    const { config } = await loadConfig({ file, env });
    const { failures } = buildTls(config, await readTlsFiles(config), null);
    return failures.length > 0 ? refused : unknown(ID, { ...notKnown, page: DIAGNOSES['not-ready'].page });
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ConfigError') throw error;
    return refused;
  }
}

const REFUSED =
  'serve refuses this configuration. A proxy that started before may still run, with the former one and its admin port.';
const CORRECT = 'Correct it: check-config lists every problem at once, with its place.';

/**
 * `named`: the file that the user named. No line if the proxy runs without a file, for its environment never changes, and
 * where the advice says what is wrong with the file: a reload that failed, or keys that await a restart.
 */
export async function configurationLine(named: string | null, status: ApiStatus): Promise<readonly Line[]> {
  const { config, lastReload } = status;
  const file = named ?? config.file;
  if (file === null) return [];
  const content = await readFile(file).catch((error: unknown) => fileProblem(error));
  if (typeof content === 'string') {
    const message = `${file} cannot be compared with the configuration in use: ${content}.`;
    const remedy = 'Run check where the file is, or name it with --config.';
    return [(named === null ? unknown : failed)(ID, { message, remedy, page })];
  }
  if (hash('sha256', content, 'hex') === config.sha256) {
    return config.awaitingRestart.length > 0 ? [] : [ok(ID, `${file} is the configuration in use.`)];
  }
  if (file === config.file && lastReload?.ok === false) return [];
  const changed = file === config.file ? ': it has changed' : `, which is ${config.file ?? 'the environment alone'}`;
  const message = `${file} is not the configuration in use${changed}.`;
  const remedy = 'The proxy reads a changed file within seconds. Ask it now with POST /-/reload, or restart it.';
  return [failed(ID, { message, remedy, page: DIAGNOSES['reload-failed'].page })];
}
