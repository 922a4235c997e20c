// `probe`: sends one POST and compares the status of the answer.
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { ask } from './ask.ts';
import { command, mistake } from './command-line.ts';
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
  const expected = readExpectation(values.expect, values['expect-not']);
  const source = chosenSource(values);
  const headers: Record<string, string | number> = {
    'Content-Type': 'application/json',
    'Content-Length': BODY.length,
  };
  if (source !== null) {
    const { key } = await readSecret(source, io);
    headers[SIGNATURE_HEADER] = `${SIGNATURE_PREFIX}${signBody(key, BODY)}`;
  }
  const answer = await ask({ url, method: 'POST', headers, body: BODY, timeout: TIMEOUT });
  const met = answer.kind === 'answered' && expected.meets(answer.status);
  const got = answer.kind === 'none' ? `no answer: ${answer.trouble}` : `${answer.status} ${answer.text}`.trim();
  const how = source === null ? 'unsigned' : 'signed';
  io.stdout(`${met ? 'ok' : 'failed'}: ${expected.meaning}, got ${got} (${how} POST ${url.href})\n`);
  return met ? 0 : 1;
});

function readUrl(text: string | undefined): URL {
  if (text === undefined) throw mistake('--url is required');
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw mistake(`--url must be an http:// or https:// URL, not '${text}'`);
  }
  if (url.username !== '' || url.password !== '') throw mistake('--url must not hold a user or password');
  return url;
}

interface Expectation {
  readonly meaning: string;
  readonly meets: (status: number) => boolean;
}

function readExpectation(expect: string | undefined, expectNot: string | undefined): Expectation {
  if (expect !== undefined && expectNot !== undefined) throw mistake('give --expect or --expect-not, not both');
  if (expect !== undefined) {
    const code = readCode('--expect', expect);
    return { meaning: `expected ${code}`, meets: (status) => status === code };
  }
  if (expectNot !== undefined) {
    const code = readCode('--expect-not', expectNot);
    return { meaning: `expected anything but ${code}`, meets: (status) => status !== code };
  }
  return { meaning: 'expected 2xx', meets: (status) => status >= 200 && status < 300 };
}

function readCode(option: string, text: string): number {
  if (!/^[1-5][0-9][0-9]$/.test(text)) throw mistake(`${option} takes a status from 100 to 599, not '${text}'`);
  return Number(text);
}
