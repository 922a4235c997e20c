// Loads the configuration: reads the file, applies the environment, checks, resolves. All problems are reported at
// once. No other file is opened, and no secret is read.
import { type Buffer, isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { CONFIG_FILE, namedConfig } from '../base/default-places.ts';
import { codeOf } from '../base/errors.ts';
import { fileProblem, readPipe, readRegularFile } from '../base/regular-file.ts';
import { resolveConfig, type Salvaged, salvage } from './config.ts';
import { crossErrors } from './cross-key-rules.ts';
import { applyEnvironment, variableProblem } from './environment.ts';
import { warningsOf } from './odd-settings.ts';
import { formatPath, formatProblem, inOrder, type KeyPath, type Problem, type ProblemAt } from './problems.ts';
import { allowedAt, readWritten, soundness } from './schema-problems.ts';
import type { Env } from './variables.ts';
import { readYaml } from './yaml.ts';

/** Longer files are not parsed. The longest sensible file has a fiftieth of this size. */
const MAX_FILE_BYTES = 1024 * 1024;

/** The configuration cannot be used. `problems` has all of them, in the order of the text. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  /** The parts without problems; null if the text could not be read at all. */
  readonly salvaged: (Pick<LoadedConfig, 'locate'> & { readonly config: Salvaged }) | null;

  constructor(problems: readonly Problem[], salvaged: ConfigError['salvaged'] = null) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
    this.salvaged = salvaged;
  }
}

/** A configuration file's path and bytes; both null if the environment is the only source. */
export interface ConfigFile {
  readonly file: string | null;
  readonly bytes: Buffer | null;
  /** It came from a pipe, which can be read only once. */
  readonly isPipe?: true;
}

export type LoadedConfig = Readonly<ReturnType<typeof parseConfig>>;

/** Loads `file`; if null, $ENTRUPY_PROXY_CONFIG's, the one in /etc, or none. Throws ConfigError with every problem. */
export async function loadConfig(options: { file: string | null; env: Env }): Promise<LoadedConfig> {
  return parseConfig(await readConfigFile(options), options.env);
}

/** Finds and reads the file that `loadConfig` would load. Throws ConfigError if it can't be read. */
export async function readConfigFile({ file, env }: { file: string | null; env: Env }): Promise<ConfigFile> {
  const named = namedConfig(file, env);
  const path = named ?? CONFIG_FILE;
  try {
    // A pipe with a place in the file system may have no writer.
    const isNamed = (await realpath(path).catch(() => null)) !== null;
    const fromPipe = isNamed ? null : await readPipe(path, MAX_FILE_BYTES);
    if (fromPipe !== null) return { file: path, bytes: fromPipe, isPipe: true };
    return { file: path, bytes: await readRegularFile(path, MAX_FILE_BYTES) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && named === null) return { file: null, bytes: null };
    throw fileError(path, `cannot be read: ${fileProblem(error)}`);
  }
}

function fileError(file: string | null, message: string): ConfigError {
  return new ConfigError([{ file: file ?? '', line: null, column: null, key: '', message }]);
}

function decode({ file, bytes }: ConfigFile): string {
  if (bytes === null) return '';
  if (bytes.length > MAX_FILE_BYTES) throw fileError(file, 'the file is larger than 1 MiB');
  if (!isUtf8(bytes)) throw fileError(file, 'the file is not UTF-8 text');
  return new TextDecoder().decode(bytes);
}

/** Parses and checks a file's bytes with the environment. Throws only ConfigError, with every problem. */
export function parseConfig({ file, bytes }: ConfigFile, env: Env) {
  const source = readYaml(decode({ file, bytes }));
  const { data, errors, warnings, origins } = applyEnvironment(source.data ?? {}, env);
  /** Gives a problem its place in the text, also one found later, such as in a file that the configuration names. */
  const locate = (placed: ProblemAt): Problem => {
    const { path, at, message } = placed;
    const [section, key] = path;
    const variable = origins.get(`${section}.${key}`) ?? origins.get(`${section}`);
    if (variable !== undefined && typeof at !== 'number') return variableProblem(variable, message);
    if (file === null) return variableProblem(safeKey(path), message);
    return { file, ...source.locate(placed), key: safeKey(path), message };
  };
  const unread = source.problems.map(locate);
  if (source.data === null) throw new ConfigError(inOrder(unread));
  const written = readWritten(data);
  const placed = [...written.problems, ...crossErrors(written)];
  // A value that could not be read must not be reported as missing too.
  const unreadable = new Set(unread.map(({ key }) => key));
  errors.push(...unread, ...placed.map(locate).filter(({ key }) => !unreadable.has(key)));
  if (errors.length > 0) {
    const sound = salvage(written.values, soundness([...placed, ...source.problems]));
    throw new ConfigError(inOrder(errors), { config: sound, locate });
  }
  const config = resolveConfig(written.values);
  for (const warning of warningsOf(written.values, config, env)) warnings.push(locate(warning));
  /** Lower-case hex, of no bytes if there is no file. */
  const sha256 = hash('sha256', bytes ?? '', 'hex');
  return { config, file, sha256, warnings: inOrder(warnings), locate };
}

/** The path as text. It ends before an unknown key under `secrets`, which may be a pasted value. */
function safeKey(path: KeyPath): string {
  const isUnknown = (step: string | number, depth: number) =>
    typeof step === 'string' && allowedAt(path.slice(0, depth + 1)) === null;
  const end = path[0] === 'secrets' ? path.findIndex(isUnknown) : -1;
  return formatPath(end < 0 ? path : path.slice(0, end));
}
