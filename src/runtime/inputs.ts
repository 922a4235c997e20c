// The inputs of a ruleset: the config file, every secret source, every TLS file. Reading changes nothing. Contents decide
// whether two readings differ; what the system tells of files only, whether to read.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_BYTES } from '../base/bytes.ts';
import { CONFIG_FILE } from '../base/default-places.ts';
import { codeOf } from '../base/errors.ts';
import { type ConfigFile, type LoadedConfig, parseConfig, readConfigFile } from '../config/load.ts';
import type { Env } from '../config/variables.ts';
import { withoutKey } from '../secrets/key-from-value.ts';
import { fixedFiles, readSource, type SecretMaterial } from '../secrets/sources.ts';
import { fitMachine } from './machine-limits.ts';
import { readTlsFiles, type TlsFile } from './tls-files.ts';

const { isDeepStrictEqual } = process.getBuiltinModule('node:util');

interface ConfigInput {
  /** Null if the file can't be read. */
  readonly file: ConfigFile | null;
  /** The last good config: an older one if the file is `broken`. Its secret sources and TLS files are still read. */
  readonly loaded: LoadedConfig;
  /** Empty, or a single string with one line for each problem of the config file. */
  readonly broken: readonly string[];
}

export interface Inputs extends ConfigInput {
  /** By source, in the order of the configuration. */
  readonly secrets: readonly (readonly SecretMaterial[])[];
  readonly tlsFiles: readonly TlsFile[];
  /** A sentence for each file whose replacement the process cannot see. */
  readonly fixed: readonly string[];
}

/** Reads every input once. Throws ConfigError only if there is no older config to keep. */
export async function readInputs(named: string | null, env: Env, before: Inputs | null): Promise<Inputs> {
  return readOthers(await readConfig(named, env, before), env, before);
}

async function readConfig(named: string | null, env: Env, before: Inputs | null): Promise<ConfigInput> {
  const parsed = (file: ConfigFile) => ({ file, loaded: fitMachine(parseConfig(file, env)), broken: [] });
  if (before === null) return parsed(await readConfigFile({ file: named, env }));
  if (before.file?.isPipe) return before;
  const { loaded } = before;
  let file: ConfigInput['file'] = null;
  const kept = (why: string) => ({ file, loaded, broken: [why] });
  try {
    file = await readConfigFile({ file: named, env });
    if (isDeepStrictEqual(file, before.file)) return before;
    if (loaded.file !== null && isBlank(file.bytes)) return kept(`${loaded.file}: it is empty or missing`);
    return parsed(file);
  } catch (error) {
    return kept(error instanceof Error ? error.message : String(error));
  }
}

async function readOthers(part: ConfigInput, env: Env, before: Inputs | null): Promise<Inputs> {
  const { config } = part.loaded;
  const reading = Promise.all(config.secrets.map((source) => readSource(source, env)));
  const [secrets, tlsFiles] = await Promise.all([reading, readTlsFiles(config)]);
  const fixed = before?.loaded === part.loaded ? before.fixed : await fixedFiles(namedFiles(part.loaded, tlsFiles));
  return { ...part, secrets, tlsFiles, fixed };
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
  const contents = ({ file, broken, secrets, tlsFiles }: Inputs) => ({ file, broken, secrets, tlsFiles });
  return isDeepStrictEqual(contents(a), contents(b));
}

const SETTLE_MS = 250;
const MAX_TRIES = 8;
const RESTLESS = 'it keeps changing while it is being read';

/**
 * Reads the inputs; if they have changed, until two readings are the same, so neither a half-written file counts nor a part
 * of a swap of all. What keeps changing counts as unreadable: it alone stays as it was `before`.
 */
export async function settledInputs(named: string | null, env: Env, before: Inputs): Promise<Inputs> {
  const read = () => readInputs(named, env, before);
  const first = await read();
  if (sameInputs(first, before)) return first;
  const [last, next] = await twoReadings(first, read);
  if (isDeepStrictEqual([last.file, last.broken], [next.file, next.broken])) return settledOthers(last, next);
  return inputsWithout(`${fileOf(before.loaded)}: ${RESTLESS}`, env, before);
}

/** Reads what the config in force names, for a changed one that is not used, and why. The next look reads that again. */
export async function inputsWithout(why: string, env: Env, before: Inputs): Promise<Inputs> {
  const read = () => readOthers({ ...before, file: null, broken: [why] }, env, before);
  return settledOthers(...(await twoReadings(await read(), read)));
}

/** The last two readings: equal ones, unless what is read keeps changing. */
async function twoReadings(last: Inputs, read: () => Promise<Inputs>, tries = 2): Promise<[Inputs, Inputs]> {
  await sleep(SETTLE_MS);
  const next = await read();
  if (tries === MAX_TRIES || sameInputs(last, next)) return [last, next];
  return twoReadings(next, read, tries + 1);
}

/** The last of two readings with one config, without what differs. */
function settledOthers(last: Inputs, next: Inputs): Inputs {
  const secrets = settledOnly(last.secrets, next.secrets, (ofSource, nth) => {
    const unread = ofSource.map((secret) => ({ ...secret, ...withoutKey(RESTLESS) }));
    if (next.loaded.config.secrets[nth]?.kind !== 'directory') return unread;
    // Of a directory it is not known which files it has.
    return unread.slice(0, 1).map((secret) => ({ ...secret, kind: 'source' as const, id: secret.source }));
  });
  const tlsFiles = settledOnly(last.tlsFiles, next.tlsFiles, (file) => {
    return { ...file, bytes: NO_BYTES, problem: `${file.name}: ${RESTLESS}` };
  });
  return { ...next, secrets, tlsFiles };
}

/** The last reading, with what `unread` makes in place of each thing that differed before. */
function settledOnly<T>(last: readonly T[], next: readonly T[], unread: (read: T, nth: number) => T): readonly T[] {
  return next.map((read, nth) => (isDeepStrictEqual(read, last[nth]) ? read : unread(read, nth)));
}

/** Milliseconds. A younger file may change again without another time. */
const OLD_MS = 2000;
/** Milliseconds after which files are read although nothing tells of a change: some file systems show old times. */
const READ_ANYWAY_MS = 10_000;

/** A text that stays the same while no file can have changed, by what the system tells of each: a look before reading. */
export async function stampOf({ loaded, secrets, tlsFiles }: Inputs): Promise<string> {
  const now = Date.now();
  const inDirectories = loaded.config.secrets.flatMap((source, nth) => {
    if (source.kind !== 'directory') return [];
    return [source.directory, ...(secrets[nth] ?? []).map(({ id }) => join(source.directory, id))];
  });
  const stamps = [...namedFiles(loaded, tlsFiles), ...inDirectories].map(async (path) => {
    const stats = await stat(path, { bigint: true }).catch(codeOf);
    if (typeof stats === 'string') return stats;
    const { dev, ino, size, mtimeMs, mtimeNs, ctimeMs, ctimeNs } = stats;
    const isYoung = mtimeMs > now - OLD_MS || ctimeMs > now - OLD_MS;
    return [dev, ino, size, mtimeNs, ctimeNs, isYoung ? now : ''].join();
  });
  return [Math.floor(now / READ_ANYWAY_MS), ...(await Promise.all(stamps))].join(' ');
}

function namedFiles(loaded: LoadedConfig, tlsFiles: readonly TlsFile[]): readonly string[] {
  const secrets = loaded.config.secrets.flatMap((source) => (source.kind === 'file' ? source.file : []));
  return [...secrets, fileOf(loaded), ...tlsFiles.map(({ path }) => path)];
}
