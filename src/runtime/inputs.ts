// The inputs of a ruleset, read once: the config file, every secret source, every TLS file. Reading changes nothing.
// Contents decide whether two readings differ, never file times or events.
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { CONFIG_FILE } from '../base/default-places.ts';
import { ConfigError, type ConfigFile, type LoadedConfig, parseConfig, readConfigFile } from '../config/load.ts';
import type { Env } from '../config/variables.ts';
import { fixedFiles, readSources, type SecretMaterial } from '../secrets/sources.ts';
import { fitMachine } from './machine-limits.ts';
import { readTlsFiles, type TlsFile } from './tls-files.ts';

export interface Inputs {
  /** Null if the file can't be read. */
  readonly file: ConfigFile | null;
  /** The last good config: an older one if the file is `broken`. Its secret sources and TLS files are still read. */
  readonly loaded: LoadedConfig;
  /** Empty, or a single string with one line for each problem of the config file. */
  readonly broken: readonly string[];
  readonly secrets: readonly SecretMaterial[];
  readonly tlsFiles: readonly TlsFile[];
  /** A sentence for each file whose replacement the process cannot see. */
  readonly fixed: readonly string[];
}

/** Reads every input. Throws ConfigError only if there is no older config to keep. */
export async function readInputs(named: string | null, env: Env, before: Inputs | null): Promise<Inputs> {
  const part = await readConfig(named, env, before);
  const { config } = part.loaded;
  const [secrets, tlsFiles] = await Promise.all([readSources(config.secrets, env), readTlsFiles(config)]);
  const inputs = { ...part, secrets, tlsFiles, fixed: before?.fixed ?? [] };
  if (before?.loaded === part.loaded) return inputs;
  return { ...inputs, fixed: await fixedFiles(namedFiles(inputs)) };
}

async function readConfig(named: string | null, env: Env, before: Inputs | null) {
  const parsed = (file: ConfigFile) => ({ file, loaded: fitMachine(parseConfig(file, env)), broken: [] });
  if (before === null) return parsed(await readConfigFile({ file: named, env }));
  if (before.file?.isPipe) return before;
  const { loaded } = before;
  let file: Inputs['file'] = null;
  const kept = (why: string) => ({ file, loaded, broken: [why] });
  try {
    file = await readConfigFile({ file: named, env });
    if (isDeepStrictEqual(file, before.file)) return before;
    if (loaded.file !== null && isBlank(file.bytes)) return kept(`${loaded.file}: it is empty or missing`);
    return parsed(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return kept(error.message);
  }
}

/** The config file, or the place where one may appear. */
const fileOf = ({ file }: LoadedConfig) => file ?? CONFIG_FILE;

/** True for an empty file, and for comments alone, which may be the first lines of a file that is being written. */
function isBlank(bytes: Buffer | null): boolean {
  const lines = bytes?.toString('latin1').split('\n') ?? [];
  return lines.every((line) => /^\s*(?:#|---\s*$|$)/.test(line));
}

/** True if both readings found the same contents. isDeepStrictEqual compares KeyObjects by their keys. */
export function sameInputs(a: Inputs, b: Inputs): boolean {
  const contents = ({ file, secrets, tlsFiles }: Inputs) => ({ file, secrets, tlsFiles });
  return isDeepStrictEqual(contents(a), contents(b));
}

const SETTLE_MS = 250;
/** The maximum number of readings. After them nothing counts until the next check. */
const MAX_TRIES = 8;

/**
 * Reads `changed` inputs again until two readings are the same, so a half-written file never counts. Rejects with what
 * keeps changing: then nothing that was read counts.
 */
export async function settle(changed: Inputs, read: (last: Inputs) => Promise<Inputs>): Promise<Inputs> {
  let before = changed;
  for (let tries = 1; ; tries++) {
    await sleep(SETTLE_MS);
    const next = await read(before);
    if (sameInputs(before, next)) return next;
    if (tries === MAX_TRIES) throw new Error(`${differing(before, next)}: it keeps changing while it is being read`);
    before = next;
  }
}

/** The first input whose contents are not the same in both readings. */
function differing(a: Inputs, b: Inputs): string {
  const same = <T>(others: readonly T[], one: T) => others.some((other) => isDeepStrictEqual(one, other));
  if (!isDeepStrictEqual(a.file, b.file)) return fileOf(b.loaded);
  const secret = b.secrets.find((each) => !same(a.secrets, each));
  return secret?.source ?? b.tlsFiles.find((each) => !same(a.tlsFiles, each))?.name ?? 'a directory of secrets';
}

/** The files that the configuration names, and its own file. */
function namedFiles({ loaded, tlsFiles }: Pick<Inputs, 'loaded' | 'tlsFiles'>): readonly string[] {
  const secrets = loaded.config.secrets.flatMap((source) => (source.kind === 'file' ? source.file : []));
  return [...secrets, fileOf(loaded), ...tlsFiles.map(({ path }) => path)];
}
