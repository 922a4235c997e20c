// `probe`: sends one POST and compares the status of the answer.

import type { Secret } from '../core/keyring.ts';
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { ask } from './ask.ts';
import { command, usageError } from './command-line.ts';
import { chosenSource, readSecretOrDirectory, SECRET_OPTIONS } from './secret-option.ts';

export const definition = {
  name: 'probe',
  usage: '--url URL [OPTIONS]',
  about: `
Sends one POST with a small JSON body, signed if a secret is given, and prints the answer. Waits at most 10 s.
If --secret-file names a directory, sends one request for each secret in it until one succeeds.
Without --expect and --expect-not, a 2xx is a success.`,
  options: {
    url: { type: 'string', value: 'URL', does: 'http:// or https://' },
    ...SECRET_OPTIONS,
    expect: { type: 'string', value: 'CODE', does: 'succeeds only on this status' },
    'expect-not': { type: 'string', value: 'CODE', does: 'succeeds on every status but this' },
  },
  exits: [
    ['0', 'success'],
    ['1', 'another answer, or none'],
    ['2', 'the command line or the secret cannot be used'],
  ],
} as const;

const BODY = Buffer.from('{"probe":"entrupy-signature-proxy"}');
const TIMEOUT = 10_000;

export const run = command(definition, async ({ values }, io) => {
  const url = readUrl(values.url);
  const expected = readExpectation(values);
  const source = chosenSource(values);
  const secrets = source === null ? [null] : await readSecretOrDirectory(source, io);
  const attempt = async (secret: Secret | null) => {
    const { status, text } = await ask({ url, headers: headersFor(secret), body: BODY, timeout: TIMEOUT });
    const met = status !== null && expected.meets(status);
    const got = status === null ? `no answer: ${text}` : `${status} ${text}`.trim();
    // Another secret may succeed where this one was refused; without an answer none would.
    return { met, got, secret, isLast: met || status === null || secret === secrets.at(-1) };
  };
  let result = await attempt(secrets[0] ?? null);
  for (const secret of secrets.slice(1)) if (!result.isLast) result = await attempt(secret);
  const { met, got, secret } = result;
  const how = secret === null ? 'unsigned' : 'signed';
  const which = secrets.length === 1 ? '' : met ? `, with ${secret?.id}` : `, with each of ${secrets.length} secrets`;
  io.stdout(`${met ? 'ok' : 'failed'}: ${expected.meaning}, got ${got} (${how} POST ${url.href}${which})\n`);
  return met ? 0 : 1;
});

function headersFor(secret: Secret | null): Record<string, string> {
  const type = { 'Content-Type': 'application/json' };
  return secret === null ? type : { ...type, [SIGNATURE_HEADER]: `${SIGNATURE_PREFIX}${signBody(secret.key, BODY)}` };
}

function readUrl(text: string | undefined): URL {
  if (text === undefined) throw usageError('--url is required');
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usageError(`--url must be an http:// or https:// URL, not '${text}'`);
  }
  if (url.username !== '' || url.password !== '') throw usageError('--url must not hold a user or password');
  return url;
}

function readExpectation(given: { readonly expect?: string; readonly 'expect-not'?: string }) {
  const { expect, 'expect-not': expectNot } = given;
  if (expect !== undefined && expectNot !== undefined) throw usageError('give --expect or --expect-not, not both');
  const text = expect ?? expectNot;
  if (text === undefined) return { meaning: 'expected 2xx', meets: (status: number) => status >= 200 && status < 300 };
  const not = expectNot === undefined ? '' : '-not';
  if (!/^[1-5][0-9][0-9]$/.test(text)) throw usageError(`--expect${not} takes a status from 100 to 599, not '${text}'`);
  const meaning = `expected ${not === '' ? '' : 'anything but '}${text}`;
  return { meaning, meets: (status: number) => (status === Number(text)) === (not === '') };
}
