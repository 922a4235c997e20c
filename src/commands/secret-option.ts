// The one secret that `sign`, `verify` and `probe` take from --secret-file or --secret-env. The rules are those of
// `serve`, except that a short secret is only a warning: people try things out with these commands.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { SecretSource } from '../config/config.ts';
import { VariableName } from '../config/environment.ts';
import type { Secret } from '../core/keyring.ts';
import { failuresOf, readSecrets } from '../secrets/rotation.ts';
import { keyFromFileContent } from '../secrets/secret-value.ts';
import { sourceName } from '../secrets/sources.ts';
import { collect, type Io, usageError } from './command-line.ts';

export const SECRET_OPTIONS = {
  'secret-file': {
    type: 'string',
    value: 'FILE',
    does: 'the secret is the content of FILE, without one trailing line break',
  },
  'secret-env': { type: 'string', value: 'NAME', does: 'the secret is the value of this variable' },
} as const;

type ChosenSource = SecretSource & { readonly kind: 'env' | 'file' };

const ALWAYS = { notBefore: null, notAfter: null, overlap: null, allowShort: true } as const;

/** The variable that Entrupy's example receiver reads (https://developer.entrupy.com/docs/api/webhooks/example). */
export const DEFAULT_SOURCE = variableSource('WEBHOOK_ENDPOINT_SECRET_KEY');

/** The source that the options name; null if neither is given. Throws UsageError if both are. */
export function chosenSource(values: { 'secret-file'?: string; 'secret-env'?: string }): ChosenSource | null {
  const { 'secret-file': file, 'secret-env': env } = values;
  if (file !== undefined && env !== undefined) throw usageError('give --secret-file or --secret-env, not both');
  if (file !== undefined) return { kind: 'file', id: 'file', file, ...ALWAYS };
  return env === undefined ? null : variableSource(env);
}

function variableSource(name: string): ChosenSource {
  return { kind: 'env', id: 'env', env: new VariableName(name), ...ALWAYS };
}

/** Reads the secret; warnings go to stderr. Throws UsageError if it cannot be used. */
export async function readSecret(source: ChosenSource, io: Io): Promise<Secret> {
  const read = (await readPipe(source)) ?? (await readSecrets([source], io.env))[0];
  const name = sourceName(source, io.env);
  if (!read?.key) throw usageError(`the secret from ${name} cannot be used: ${read?.problem ?? 'it does not exist'}`);
  for (const warning of read.warnings) io.stderr(`warning: the secret from ${name}: ${warning}\n`);
  return { id: source.id, key: read.key, notBefore: null, notAfter: null };
}

/** Every usable secret of a directory, else the one secret. Throws UsageError if there is none. */
export async function readSecretOrDirectory(source: ChosenSource, io: Io): Promise<readonly Secret[]> {
  if (source.kind !== 'file' || !(await stat(source.file).catch(() => null))?.isDirectory()) {
    return [await readSecret(source, io)];
  }
  const read = await readSecrets([{ ...ALWAYS, kind: 'directory', directory: source.file }], io.env);
  const usable = read.flatMap(({ id, key }) => (key === null ? [] : [{ id, key, notBefore: null, notAfter: null }]));
  if (usable.length === 0) throw usageError(`no secret can be used: ${failuresOf(read).join('; ')}`);
  return usable;
}

/** `--secret-file <(pass show hook)` is a pipe. The proxy refuses pipes; here they are the best way to pass one. */
async function readPipe(source: ChosenSource) {
  if (source.kind !== 'file' || !(await stat(source.file).catch(() => null))?.isFIFO()) return undefined;
  const content = await collect(createReadStream(source.file), `file ${source.file}`);
  const reading = keyFromFileContent(content, source);
  content.fill(0);
  return reading;
}
