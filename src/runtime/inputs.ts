// Everything outside that a policy is made of, read once: the config file, every secret source, every TLS file.
// Reading acts on nothing; whether two readings differ is a matter of contents, never of file times or events.
import { readFile, stat } from 'node:fs/promises';
import type { TlsParts } from '../config/config.ts';
import {
  ConfigError,
  type ConfigFile,
  formatProblem,
  type LoadedConfig,
  parseConfigFile,
  readConfigFile,
} from '../config/load.ts';
import { fixedFiles, fixedVariables, mountPoints } from '../secrets/fixed.ts';
import type { Readings } from '../secrets/rotation.ts';
import { readSource, type SourceReading } from '../secrets/sources.ts';

export type Env = Readonly<Record<string, string | undefined>>;

export interface Inputs {
  /** Null where the file can't be read. */
  readonly file: ConfigFile | null;
  /** The last config that was good; with `broken` set it is an older one, whose sources are read all the same. */
  readonly loaded: LoadedConfig;
  /** What is wrong with the config file, a line each; null where nothing is. */
  readonly broken: readonly string[] | null;
  readonly readings: Readings;
  /** By path; a text says why it can't be read. */
  readonly tlsFiles: ReadonlyMap<string, Buffer | string>;
  /** What can't change while this runs, a sentence each. */
  readonly fixed: readonly string[];
}

/** Reads all of it. Throws ConfigError only where there is no older config to go on with. */
export async function readInputs(named: string | null, env: Env, before: Inputs | null): Promise<Inputs> {
  const { file, loaded, broken } = await readConfig(named, env, before);
  const { config } = loaded;
  const readings = config.secrets.map(async (source) => [source, await readSource(source, env)] as const);
  const tlsFiles = readTlsFiles(tlsPaths(config));
  return {
    file,
    loaded,
    broken,
    readings: await Promise.all(readings),
    tlsFiles: await tlsFiles,
    fixed: before?.loaded === loaded ? before.fixed : await fixedIn(loaded),
  };
}

async function fixedIn({ config, file }: LoadedConfig): Promise<readonly string[]> {
  const files = config.secrets.flatMap((source) => (source.kind === 'file' ? [source.file] : []));
  if (file !== null) files.push(file);
  files.push(...tlsPaths(config));
  return [...fixedVariables(config.secrets), ...(await fixedFiles(files, await mountPoints()))];
}

type ConfigPart = Pick<Inputs, 'file' | 'loaded' | 'broken'>;

async function readConfig(named: string | null, env: Env, before: Inputs | null): Promise<ConfigPart> {
  let file: ConfigFile | null = null;
  try {
    // A pipe (`--config <(…)`) can be read but once.
    if (before?.file?.file != null && !(await mayBeRead(before.file.file))) return before;
    file = await readConfigFile({ file: named, env });
    // Parsing each second what has not changed would be most of an idle proxy's work.
    if (before !== null && sameFile(before.file, file)) return { ...before, file };
    if (before !== null && before.loaded.file !== null && isBlank(file.bytes)) {
      return { file, loaded: before.loaded, broken: [`${before.loaded.file}: it is empty, or gone`] };
    }
    return { file, loaded: parseConfigFile(file, env), broken: null };
  } catch (error) {
    if (!(error instanceof ConfigError) || before === null) throw error;
    return { file, loaded: before.loaded, broken: error.problems.map(formatProblem) };
  }
}

/** False for what is there but no regular file: reading it could wait for ever. */
async function mayBeRead(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => true,
  );
}

/** True for nothing but comments, too: the first lines of a file that is being written. */
function isBlank(bytes: Buffer | null): boolean {
  return (
    bytes === null ||
    bytes
      .toString('latin1')
      .split('\n')
      .every((line) => /^\s*(?:#|---\s*$|$)/.test(line))
  );
}

/** Every TLS file that the config names. */
export function tlsPaths({ listen, upstream }: TlsParts): readonly string[] {
  const paths = [
    ...(listen.tls === null ? [] : [listen.tls.certFile, listen.tls.keyFile, listen.tls.clientCaFile]),
    ...(upstream.tls === null ? [] : [upstream.tls.caFile, upstream.tls.certFile, upstream.tls.keyFile]),
  ];
  return paths.filter((path): path is string => path !== null);
}

/** By path; a text says why the file can't be read. */
export async function readTlsFiles(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer | string>> {
  return new Map(await Promise.all(paths.map(async (path) => [path, await readTlsFile(path)] as const)));
}

async function readTlsFile(path: string): Promise<Buffer | string> {
  try {
    if (!(await mayBeRead(path))) return 'it is not a regular file';
    return await readFile(path);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'it could not be read';
  }
}

/** True where both readings found the same contents. */
export function sameInputs(a: Inputs, b: Inputs): boolean {
  return (
    sameFile(a.file, b.file) &&
    a.loaded === b.loaded &&
    a.readings.length === b.readings.length &&
    a.readings.every(([, reading], index) => sameReading(reading, b.readings[index]?.[1])) &&
    sameTls(a.tlsFiles, b.tlsFiles)
  );
}

function sameFile(a: ConfigFile | null, b: ConfigFile | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.bytes === null || b.bytes === null) return a.bytes === b.bytes;
  return a.bytes.equals(b.bytes);
}

function sameReading(a: SourceReading, b: SourceReading | undefined): boolean {
  if (b === undefined || a.problem !== b.problem || a.secrets.length !== b.secrets.length) return false;
  return a.secrets.every((left, index) => {
    const right = b.secrets[index];
    if (right === undefined || left.id !== right.id || left.problem !== right.problem) return false;
    return left.key === null || right.key === null ? left.key === right.key : left.key.equals(right.key);
  });
}

function sameTls(a: Inputs['tlsFiles'], b: Inputs['tlsFiles']): boolean {
  if (a.size !== b.size) return false;
  for (const [path, left] of a) {
    const right = b.get(path);
    const same = typeof left === 'string' || typeof right === 'string' ? left === right : right?.equals(left) === true;
    if (!same) return false;
  }
  return true;
}
