// `probe`: sends one POST and compares the status of the answer.
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { ask } from './ask.ts';
import { command, usageError } from './command-line.ts';
import { chosenSource, readSecret, SECRET_OPTIONS } from './secret-option.ts';

const help = `Usage: entrupy-signature-proxy probe --url URL [OPTIONS]

Sends one POST with a small JSON body, signed if a secret is given, and prints the answer. Waits at most 10 s.

  --url URL            http:// or https://
  --secret-file FILE   signs with the content of FILE, without one trailing line break
  --secret-env NAME    signs with the value of this variable
  --expect CODE        succeeds only on this status
  --expect-not CODE    succeeds on every status but this
  --help               prints this

Without --expect and --expect-not, a 2xx is a success.
Exit code: 0 success, 1 another answer or none, 2 if the command line or the secret cannot be used.
`;

const BODY = Buffer.from('{"probe":"entrupy-signature-proxy"}');
const TIMEOUT = 10_000;

const options = {
  ...SECRET_OPTIONS,
  url: { type: 'string' },
  expect: { type: 'string' },
  'expect-not': { type: 'string' },
} as const;

export const run = command({ name: 'probe', help, options, positionals: [] }, async ({ values }, io) => {
  const url = readUrl(values.url);
  const expected = readExpectation(values);
  const source = chosenSource(values);
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  if (source !== null) {
    const { key } = await readSecret(source, io);
    headers[SIGNATURE_HEADER] = `${SIGNATURE_PREFIX}${signBody(key, BODY)}`;
  }
  const { status, text } = await ask({ url, headers, body: BODY, timeout: TIMEOUT });
  const met = status !== null && expected.meets(status);
  const got = status === null ? `no answer: ${text}` : `${status} ${text}`.trim();
  const how = source === null ? 'unsigned' : 'signed';
  io.stdout(`${met ? 'ok' : 'failed'}: ${expected.meaning}, got ${got} (${how} POST ${url.href})\n`);
  return met ? 0 : 1;
});

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
