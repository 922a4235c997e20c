// `sign`: prints the signature of a body, as Entrupy would send it. It must never print the secret. This file also
// reads --secret-file and --secret-env for `sign`, `verify` and `probe`, by the rules of `serve`, except that a short
// secret is only a warning: people try things out with these commands.
import type { KeyObject } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { readPipe } from '../base/regular-file.ts';
import type { SecretSource } from '../config/config.ts';
import { VariableName } from '../config/variables.ts';
import type { Secret } from '../core/keyring.ts';
import { Head } from '../core/request-head.ts';
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { keyFromFileContent, MAX_SECRET_BYTES } from '../secrets/key-from-value.ts';
import { failuresOf, readSecrets, usable } from '../secrets/rotation.ts';
import { sourceName } from '../secrets/sources.ts';
import { command, type Io, readBody } from './command.ts';
import { usageError } from './options.ts';

export const run = command('sign', async ({ values, positionals: [file] }, io) => {
  const { key } = await readSecret(chosenSource(values), io);
  const body = await readBody(file, io);
  if (body.length === 0) io.stderr('warning: the body is empty\n');
  io.stdout(`${values.header ? `${SIGNATURE_HEADER}: ` : ''}${signatureOf(key, body)}\n`);
  return 0;
});

type ChosenSource = SecretSource & { readonly kind: 'env' | 'file' };

const ALWAYS = { notBefore: null, notAfter: null, overlap: null, allowShort: true } as const;

/** The variable that Entrupy's example receiver reads (https://developer.entrupy.com/docs/api/webhooks/example). */
const DEFAULT_VARIABLE = new VariableName('WEBHOOK_ENDPOINT_SECRET_KEY');
const DEFAULT_SOURCE = { kind: 'env', id: 'env', env: DEFAULT_VARIABLE, ...ALWAYS } as const;

/** The source that the options name; null if neither is given. Throws UsageError if both are. */
export function chosenSource(values: { 'secret-file'?: string; 'secret-env'?: string }): ChosenSource | null {
  const { 'secret-file': file, 'secret-env': env } = values;
  if (file !== undefined && env !== undefined) throw usageError('give --secret-file or --secret-env, not both');
  if (file !== undefined) return { kind: 'file', id: 'file', file, ...ALWAYS };
  return env === undefined ? null : { ...DEFAULT_SOURCE, env: new VariableName(env) };
}

/** Reads the secret; warnings go to stderr. Throws UsageError if it cannot be used. */
export async function readSecret(chosen: ChosenSource | null, io: Io): Promise<Secret> {
  const source = chosen ?? DEFAULT_SOURCE;
  // The proxy refuses pipes; here `--secret-file <(pass show hook)` is the best way to pass a secret.
  const piped = source.kind === 'file' ? await readPipe(source.file, MAX_SECRET_BYTES + 2) : null;
  const read = piped === null ? (await readSecrets([source], io.env))[0] : keyFromFileContent(piped, source);
  piped?.fill(0);
  const name = sourceName(source, io.env);
  if (!read?.key) throw usageError(`the secret from ${name} cannot be used: ${read?.problem}`);
  for (const warning of read.warnings) io.stderr(`warning: the secret from ${name}: ${warning}\n`);
  return { id: source.id, key: read.key, notBefore: null, notAfter: null };
}

/** Every usable secret if the source is a directory, else its one secret. Throws UsageError if there is none. */
export async function readSecretOrDirectory(source: ChosenSource, io: Io): Promise<readonly Secret[]> {
  if (source.kind !== 'file' || !(await stat(source.file).catch(() => null))?.isDirectory()) {
    return [await readSecret(source, io)];
  }
  const read = await readSecrets([{ ...ALWAYS, kind: 'directory', directory: source.file }], io.env);
  const secrets = usable(read);
  if (secrets.length === 0) throw usageError(`no secret can be used: ${failuresOf(read).join('; ')}`);
  return secrets;
}

export const signatureOf = (key: KeyObject, body: Buffer) => `${SIGNATURE_PREFIX}${signBody(key, body)}`;

/** A signature of the right form: its value does not matter until the body is verified. */
export const ANY_SIGNATURE = `${SIGNATURE_PREFIX}${'A'.repeat(43)}=`;

export function signedHead(target: string, signature = ANY_SIGNATURE): Head {
  return new Head({ method: 'POST', target, version: '1.1' }, ['Host', 'localhost', SIGNATURE_HEADER, signature]);
}
