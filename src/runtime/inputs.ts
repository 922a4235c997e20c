// The inputs of a ruleset, read once: the config file, every secret source, every TLS file. Reading changes nothing.
// Contents decide whether two readings differ, never file times or events.

import { isDeepStrictEqual } from 'node:util';
import { CONFIG_FILE } from '../base/default-paths.ts';
import type { Env } from '../config/environment.ts';
import type { ConfigFile, LoadedConfig } from '../config/load.ts';
import { ConfigError, parseConfig, readConfigFile } from '../config/load.ts';
import { fixedFiles, fixedVariables, readSources, type SecretMaterial, sourceName } from '../secrets/sources.ts';
import { fitOpenFiles } from './open-files.ts';
import { canBeRead } from './regular-file.ts';
import { readTlsFiles, type TlsFile } from './tls-files.ts';

export interface Inputs {
  /** Null if the file can't be read. */
  readonly file: ConfigFile | null;
  /** The last good config: an older one if the file is `broken`. Its secret sources and TLS files are still read. */
  readonly loaded: LoadedConfig;
  /** The problems of the config file: none, or one text with a line for each. */
  readonly broken: readonly string[];
  readonly secrets: readonly SecretMaterial[];
  readonly tlsFiles: readonly TlsFile[];
  /** Sources that can't change while the process runs, a sentence each. */
  readonly fixed: readonly string[];
  /** The config came from a pipe (`--config <(…)`), which can be read only once. */
  readonly piped: boolean;
}

/** Reads every input. Throws ConfigError only if there is no older config to keep. */
export async function readInputs(named: string | null, env: Env, before: Inputs | null): Promise<Inputs> {
  const part = await readConfig(named, env, before);
  const { config } = part.loaded;
  const [secrets, tlsFiles] = await Promise.all([readSources(config.secrets, env), readTlsFiles(config)]);
  const piped = before?.piped ?? !(await canBeRead(fileOf(part.loaded)));
  const inputs = { ...part, secrets, tlsFiles, fixed: before?.fixed ?? [], piped };
  if (before?.loaded === part.loaded) return inputs;
  return { ...inputs, fixed: [...fixedVariables(config.secrets), ...(await fixedFiles(namedFiles(inputs)))] };
}

async function readConfig(named: string | null, env: Env, before: Inputs | null) {
  let file: Inputs['file'] = null;
  try {
    if (before?.piped) return before;
    if (before !== null && !(await canBeRead(fileOf(before.loaded)))) {
      return { file, loaded: before.loaded, broken: [`${fileOf(before.loaded)}: it is not a regular file`] };
    }
    file = await readConfigFile({ file: named, env });
    if (before !== null && isDeepStrictEqual(file, before.file)) return before;
    if (before !== null && before.loaded.file !== null && isBlank(file.bytes)) {
      return { file, loaded: before.loaded, broken: [`${before.loaded.file}: it is empty or missing`] };
    }
    return { file, loaded: fitOpenFiles(parseConfig(file, env)), broken: [] };
  } catch (error) {
    if (!(error instanceof ConfigError) || before === null) throw error;
    return { file, loaded: before.loaded, broken: [error.message] };
  }
}

/** The config file, or the place where one may appear. */
const fileOf = ({ file }: LoadedConfig) => file ?? CONFIG_FILE;

/** True for an empty file, and for comments alone: they may be the first lines of a file that is being written. */
function isBlank(bytes: Buffer | null): boolean {
  const lines = bytes?.toString('latin1').split('\n') ?? [];
  return lines.every((line) => /^\s*(?:#|---\s*$|$)/.test(line));
}

/** True if both readings found the same contents. isDeepStrictEqual compares KeyObjects by their keys. */
export function sameInputs(a: Inputs, b: Inputs): boolean {
  const contents = ({ file, secrets, tlsFiles }: Inputs) => ({ file, secrets, tlsFiles });
  return isDeepStrictEqual(contents(a), contents(b));
}

/** The files that the configuration names, and its own file. */
function namedFiles({ loaded, tlsFiles }: Pick<Inputs, 'loaded' | 'tlsFiles'>): readonly string[] {
  const secrets = loaded.config.secrets.flatMap((source) => (source.kind === 'file' ? source.file : []));
  return [...secrets, fileOf(loaded), ...tlsFiles.map(({ path }) => path)];
}

/** The files and directories that the inputs came from, each once. */
export function placesOf(inputs: Inputs): readonly string[] {
  const listed = inputs.loaded.config.secrets.flatMap((source) => {
    if (source.kind !== 'directory') return [];
    const name = sourceName(source);
    const mine = inputs.secrets.filter(({ kind, source }) => kind === 'secret' && source === name);
    return [source.directory, ...mine.map(({ id }) => `${source.directory}/${id}`)];
  });
  return [...new Set([...namedFiles(inputs), ...listed])];
}
