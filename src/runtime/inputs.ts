// The inputs of a ruleset, read once: the config file, every secret source, every TLS file. Reading changes nothing.
// Contents decide whether two readings differ, never file times or events.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ListenTls, TlsParts, UpstreamTls } from '../config/config.ts';
import type { Env } from '../config/environment.ts';
import {
  ConfigError,
  type ConfigFile,
  DEFAULT_FILE,
  formatProblem,
  type LoadedConfig,
  parseConfigFile,
  readConfigFile,
} from '../config/load.ts';
import { fixedFiles, fixedVariables, type Readings, readSources } from '../secrets/sources.ts';
import type { TlsFile } from './certificates.ts';

export interface Inputs {
  /** Null where the file can't be read. */
  readonly file: ConfigFile | null;
  /** The last good config; an older one if `broken` is set, and its sources are still read. */
  readonly loaded: LoadedConfig;
  /** The problems of the config file, one a line; null where there are none. */
  readonly broken: readonly string[] | null;
  readonly readings: Readings;
  readonly tlsFiles: readonly TlsFile[];
  /** Sources that can't change while the process runs, a sentence each. */
  readonly fixed: readonly string[];
}

/** Throws ConfigError only where there is no older config to keep. */
export async function readInputs(named: string | null, env: Env, before: Inputs | null): Promise<Inputs> {
  const { file, loaded, broken } = await readConfig(named, env, before);
  const { config } = loaded;
  const [readings, tlsFiles] = await Promise.all([readSources(config.secrets, env), readTlsFiles(config)]);
  const inputs = { file, loaded, broken, readings, tlsFiles, fixed: before?.fixed ?? [] };
  return before?.loaded === loaded ? inputs : { ...inputs, fixed: await fixedIn(inputs) };
}

async function fixedIn({ loaded, tlsFiles }: Pick<Inputs, 'loaded' | 'tlsFiles'>): Promise<readonly string[]> {
  const { secrets } = loaded.config;
  const files = secrets.flatMap((source) => (source.kind === 'file' ? [source.file] : []));
  if (loaded.file !== null) files.push(loaded.file);
  files.push(...tlsFiles.map(({ path }) => path));
  return [...fixedVariables(secrets), ...(await fixedFiles(files))];
}

type ConfigPart = Pick<Inputs, 'file' | 'loaded' | 'broken'>;

async function readConfig(named: string | null, env: Env, before: Inputs | null): Promise<ConfigPart> {
  let file: ConfigFile | null = null;
  try {
    // A pipe (`--config <(…)`) can be read only once.
    if (before?.file?.file != null && !(await canBeRead(before.file.file))) return before;
    file = await readConfigFile({ file: named, env });
    if (before !== null && isDeepStrictEqual(file, before.file)) return before;
    if (before !== null && before.loaded.file !== null && isBlank(file.bytes)) {
      return { file, loaded: before.loaded, broken: [`${before.loaded.file}: it is empty or missing`] };
    }
    return { file, loaded: parseConfigFile(file, env), broken: null };
  } catch (error) {
    if (!(error instanceof ConfigError) || before === null) throw error;
    return { file, loaded: before.loaded, broken: error.problems.map(formatProblem) };
  }
}

/** False for something that exists and is not a regular file: reading it could block forever. */
async function canBeRead(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => true,
  );
}

/** Also true if there are only comments: they may be the first lines of a file that is being written. */
function isBlank(bytes: Buffer | null): boolean {
  const lines = bytes?.toString('latin1').split('\n') ?? [];
  return lines.every((line) => /^\s*(?:#|---\s*$|$)/.test(line));
}

/** Reads every TLS file that the config names. */
export async function readTlsFiles({ listen, upstream }: TlsParts): Promise<readonly TlsFile[]> {
  const named = [...filesOf('listen', listen.tls), ...filesOf('upstream', upstream.tls)];
  return Promise.all(named.map(async (file) => ({ ...file, bytes: await readTlsFile(file.path) })));
}

const ROLES = { certFile: 'cert', keyFile: 'key', caFile: 'ca', clientCaFile: 'ca' } as const;

function filesOf(side: TlsFile['side'], tls: ListenTls | UpstreamTls | null): readonly Omit<TlsFile, 'bytes'>[] {
  const paths: Readonly<Record<string, string | null>> = { ...tls };
  return Object.entries(ROLES).flatMap(([key, role]) => {
    const path = paths[key] ?? null;
    return path === null ? [] : [{ side, role, path, name: `${side}.tls.${key} ${path}` }];
  });
}

async function readTlsFile(path: string): Promise<Buffer | string> {
  try {
    return (await canBeRead(path)) ? await readFile(path) : 'it is not a regular file';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'it could not be read';
  }
}

/** True where both readings found the same contents. isDeepStrictEqual compares KeyObjects by their keys. */
export function sameInputs(a: Inputs, b: Inputs): boolean {
  const contents = ({ file, readings, tlsFiles }: Inputs) => ({ file, readings, tlsFiles });
  return isDeepStrictEqual(contents(a), contents(b));
}

/** The files that the inputs came from, and the directories of secrets. */
export function placesOf({ loaded, readings, tlsFiles }: Inputs): { files: string[]; directories: string[] } {
  const files = [loaded.file ?? DEFAULT_FILE, ...tlsFiles.map(({ path }) => path)];
  const directories: string[] = [];
  for (const [source, { secrets }] of readings) {
    if (source.kind === 'file') files.push(source.file);
    if (source.kind !== 'directory') continue;
    directories.push(source.directory);
    files.push(...secrets.map(({ id }) => join(source.directory, id)));
  }
  return { files, directories };
}
