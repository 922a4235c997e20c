// Reads secrets from files, directories and environment variables, as kubelet, Docker and people create them. A bad
// source becomes a `problem`, never an exception. No read blocks on a pipe or device. Only a KeyObject keeps a value.
import { opendir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem, readRegularFile } from '../base/regular-file.ts';
import type { SecretSource } from '../config/config.ts';
import type { Env } from '../config/variables.ts';
import type { Secret } from '../core/keyring.ts';
import { type KeyReading, keyFromFileContent, keyFromValue, MAX_SECRET_BYTES, withoutKey } from './key-from-value.ts';

/** A secret with the times of its source: epoch milliseconds, and `overlap` in milliseconds; null for none. */
export interface SecretMaterial
  extends KeyReading,
    Pick<SecretSource, 'notBefore' | 'notAfter' | 'overlap'>,
    Pick<Secret, 'ended'> {
  /** `source`: one that cannot be used as a whole. `misnamed`: a file with a bad name. Neither has a key. */
  readonly kind: 'secret' | 'source' | 'misnamed';
  /** The id of a `secret`; of the others a label for messages: the source, or `file "<name>"`. */
  readonly id: string;
  /** `file <path>`, `env <name>` or `env (name hidden)`, `directory <path>` or `replaced value of <id>`. */
  readonly source: string;
  /** When a reload adopted this value, in epoch milliseconds; null for a value that was read at start. */
  readonly adoptedAt: number | null;
  /** The id of an earlier one with this value. */
  readonly sameAs: string | null;
}

type DirectorySource = SecretSource & { readonly kind: 'directory' };

/** The maximum number of secrets in a directory, and of hidden names beside them. With more, the path is probably wrong. */
const MAX_DIRECTORY_FILES = 256;

const ID = /^[A-Za-z0-9._-]+$/;
const BAD_NAME = 'its name has characters other than A-Z a-z 0-9 . _ -';

/** Reads a source once; rotation.ts compares readings. Never throws. */
export async function readSource(source: SecretSource, env: Env): Promise<readonly SecretMaterial[]> {
  const { notBefore, notAfter, overlap } = source;
  const facts = { source: sourceName(source, env), notBefore, notAfter, overlap, adoptedAt: null, sameAs: null };
  if (source.kind === 'directory') return (await readKeyDirectory(source)).map((entry) => ({ ...entry, ...facts }));
  const reading =
    source.kind === 'env' ? readVariable(source.env.valueIn(env), source) : await readKeyFile(source.file, source);
  return [{ kind: 'secret', id: source.id, ...reading, ...facts }];
}

/** The name of a source in messages. Without `env`, no variable's name is shown. */
export function sourceName(source: SecretSource, env: Env = {}): string {
  if (source.kind === 'env') return `env ${source.env.shownIn(env) ?? '(name hidden)'}`;
  return source.kind === 'file' ? `file ${source.file}` : `directory ${source.directory}`;
}

type Entries = readonly (Pick<SecretMaterial, 'kind' | 'id'> & KeyReading)[];

function readVariable(value: string | undefined, rules: Pick<SecretSource, 'allowShort'>): KeyReading {
  if (value === undefined) return withoutKey('the variable is not set');
  const bytes = Buffer.from(value);
  try {
    return keyFromValue(bytes, rules);
  } finally {
    bytes.fill(0);
  }
}

/** Reads a `passwordFile` like a secret file, so a pipe cannot block it. Rejects if the file is empty or unreadable. */
export async function readPasswordFile(section: 'once' | 'redelivery', path: string): Promise<string> {
  const { key, problem } = await readKeyFile(path, { allowShort: true });
  if (key === null) throw new Error(`${section}.passwordFile ${path}: ${problem}`);
  return key.export().toString('utf8');
}

/** Reads one secret file and follows links. Never throws: errors become the reading's problem. */
async function readKeyFile(path: string, rules: Pick<SecretSource, 'allowShort'>): Promise<KeyReading> {
  try {
    const bytes = await readRegularFile(path, MAX_SECRET_BYTES + '\r\n'.length);
    const reading = keyFromFileContent(bytes, rules);
    bytes.fill(0);
    return reading;
  } catch (error) {
    return withoutKey(fileProblem(error));
  }
}

/** Reads every regular file of a directory and follows links. Skips names that begin with `.`, as kubelet and editors use. */
async function readKeyDirectory(source: DirectorySource): Promise<Entries> {
  const { directory } = source;
  const names: string[] = [];
  let hidden = 0;
  try {
    // Not `readdir`: a directory of a million files would be listed whole, each second.
    for await (const { name } of await opendir(directory)) {
      if ((name.startsWith('.') ? ++hidden : names.push(name)) <= MAX_DIRECTORY_FILES) continue;
      return unusable(source, `it holds more than ${MAX_DIRECTORY_FILES} files: is this the right directory?`);
    }
  } catch (error) {
    return unusable(source, fileProblem(error));
  }
  const entries: Entries[number][] = [];
  for (const name of names.sort()) {
    const file = join(directory, name);
    const stats = await stat(file).catch(() => null);
    // readKeyFile reports a dangling link (null). Anything else that is not a regular file is not meant as a secret.
    if (stats !== null && !stats.isFile()) continue;
    if (ID.test(name)) entries.push({ kind: 'secret', id: name, ...(await readKeyFile(file, source)) });
    else entries.push({ kind: 'misnamed', id: `file ${JSON.stringify(name)}`, ...withoutKey(BAD_NAME) });
  }
  return entries.length > 0 ? entries : unusable(source, 'it holds no secrets: there is no regular file in it');
}

/** The only entry for a directory that cannot be used. */
function unusable(source: DirectorySource, problem: string): Entries {
  return [{ kind: 'source', id: sourceName(source), ...withoutKey(problem) }];
}

/** A warning for each file that is mounted on its own: if it is replaced, the process never sees the new one. */
export async function fixedFiles(
  files: readonly string[],
  mountInfo = '/proc/self/mountinfo',
): Promise<readonly string[]> {
  // The fifth field of a line is the mount point, with octal escapes (proc(5)). Only Linux has such a file.
  const mounts = (await readFile(mountInfo, 'utf8').catch(() => '')).split('\n').map((line) => {
    const fromOctal = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
    return line.split(' ')[4]?.replace(/\\([0-7]{3})/g, fromOctal);
  });
  // /var/run is a link to /run on most systems, and the kernel lists real paths.
  const real = await Promise.all(files.map((file) => realpath(file).catch(() => file)));
  const means = 'mounted by itself (subPath, or one file by docker -v)';
  return files
    .filter((_, index) => mounts.includes(real[index]))
    .map((file) => `${file} is ${means}: the proxy cannot see its replacement; mount its directory`);
}
