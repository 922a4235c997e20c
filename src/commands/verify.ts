// `verify`: the verdict on one captured delivery, and on a mismatch the likely cause. It must never print a secret, nor
// the right signature.
import { EITHER } from '../admin/advice-signatures.ts';
import type { Paint } from '../base/colour.ts';
import { admit, admitBody, arrivalOf } from '../core/admission.ts';
import { Keyring, type Secret } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import { Head } from '../core/request-head.ts';
import { type Route, RouteTable } from '../core/routes.ts';
import { stateOf } from '../core/secret-validity.ts';
import { SIGNATURE_HEADER } from '../core/signature.ts';
import { type DiagnosisKey, diagnose } from '../hints/diagnose.ts';
import { readSecrets } from '../secrets/rotation.ts';
import { command, type Io, readBody, UsageError, usageError } from './command-line.ts';
import { JSON_OPTION } from './definition.ts';
import { chosenSource, DEFAULT_SOURCE, readSecret, SECRET_OPTIONS } from './secret-option.ts';

export const definition = {
  name: 'verify',
  usage: '--signature VALUE [OPTIONS] [BODY]',
  about: `
Checks the signature of a captured body and prints the secret that made it, or the likely cause of a mismatch.
BODY is a file, or - for standard input, which is also the default. It must be exactly the bytes that were sent.
Without an option the secret is the value of WEBHOOK_ENDPOINT_SECRET_KEY.`,
  options: {
    signature: {
      type: 'string',
      value: 'VALUE',
      does: `the value of the ${SIGNATURE_HEADER} header, or the whole header line`,
    },
    config: { type: 'string', value: 'FILE', does: 'tries all secrets of this configuration' },
    ...SECRET_OPTIONS,
    ...JSON_OPTION,
  },
  positionals: ['BODY'],
  exits: [
    ['0', 'valid'],
    ['1', 'invalid'],
    ['2', 'the command line, the secret or the body cannot be used'],
  ],
  json: [
    ['valid', '`true` or `false`'],
    ['reason', 'why it is invalid, as in [metrics.md](metrics.md#reasons); `null` if it is valid'],
    ['secret', 'the id of the secret that made the signature; `null` if none did'],
    ['hint', 'the likely cause; `null` if it is valid'],
  ],
} as const;

/** Bytes; a longer body is tried only as it is. Higher than in the proxy, since no other request waits here. */
const DIAGNOSED_BYTES = 1024 * 1024;

export const run = command(definition, async (given, io) => {
  const { signature, config } = given.values;
  if (signature === undefined) throw usageError('--signature is required');
  const source = chosenSource(given.values);
  if (config !== undefined && source !== null) throw usageError('give --config or a secret, not both');
  const secrets = config === undefined ? [await readSecret(source ?? DEFAULT_SOURCE, io)] : await secretsOf(config, io);
  const body = await readBody(given.positionals[0], io);
  const verdict = verdictOn(headerValue(signature), body, secrets);
  io.stdout(given.values.json ? `${JSON.stringify(verdict)}\n` : textOf(verdict, io.paint));
  return verdict.valid ? 0 : 1;
});

function textOf({ valid, reason, secret, hint }: Verdict, paint: Paint): string {
  const lines = [
    valid ? paint('green', 'valid') : `${paint('red', 'invalid')}: ${reason}`,
    ...(secret === null ? [] : [`secret: ${secret}`]),
    ...(hint === null ? [] : [`hint: ${hint}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Accepts the whole header line as logs and `curl -v` show it, and the white space that HTTP allows around a value. */
function headerValue(pasted: string): string {
  return pasted.replace(new RegExp(`^[>\\s]*${SIGNATURE_HEADER}[ \\t]*:`, 'i'), '').trim();
}

async function secretsOf(file: string, io: Io): Promise<readonly Secret[]> {
  // Loaded only with --config: otherwise no configuration is read, and its libraries are not needed.
  const { ConfigError, loadConfig } = await import('../config/load.ts');
  const { config } = await loadConfig({ file, env: io.env }).catch((error: unknown) => {
    throw error instanceof ConfigError ? new UsageError(`the configuration cannot be used\n${error.message}`) : error;
  });
  const read = await readSecrets(config.secrets, io.env);
  for (const { id, problem } of read) if (problem !== null) io.stderr(`warning: secret ${id}: ${problem}\n`);
  const secrets = read.flatMap((secret) => (secret.key === null ? [] : [{ ...secret, key: secret.key }]));
  if (secrets.length === 0) throw new UsageError(`${file} has no usable secret`);
  return secrets;
}

/** What the proxy would have on such a request: a POST that one route verifies with all these secrets. */
const ROUTE: Route = {
  ...{
    path: '/',
    action: 'verify',
    methods: null,
    secrets: null,
    mode: 'enforce',
    reportUntil: null,
    query: 'forward',
  },
  ...{ maxBody: Number.POSITIVE_INFINITY, once: null, redeliver: null, upgrade: [], allowHeaders: [] },
  ...{ responseTimeout: null, idleTimeout: null },
};

type Verdict = ReturnType<typeof verdictOn>;

/** The proxy's own verdict. */
function verdictOn(given: string, body: Buffer, secrets: readonly Secret[]) {
  const at = Date.now();
  const policy = policyOf(secrets);
  const lines = ['Host', 'localhost', SIGNATURE_HEADER, given];
  const arrival = arrivalOf(new Head({ method: 'POST', target: '/', version: '1.1' }, lines), policy, at);
  const admission = admit(arrival);
  const verdict = admission.kind === 'read' ? admitBody(admission, arrival, body) : admission;
  if (verdict.kind === 'forward') return { valid: true, reason: null, secret: verdict.permit.secret, hint: null };
  if (verdict.kind !== 'refuse') throw new Error(`a verdict that is to ${verdict.kind}`);
  const { reason, secret } = verdict;
  const keys = secrets.map(({ id, key, ...validity }): DiagnosisKey => {
    const state = stateOf(validity, at);
    return { id, key, use: state === 'live' ? 'route' : state };
  });
  const unexplained = reason === 'signature_mismatch' ? EITHER : null;
  const hint = diagnose({ body, given, keys, maxBytes: DIAGNOSED_BYTES }) ?? unexplained;
  return { valid: false, reason, secret, hint };
}

function policyOf(secrets: readonly Secret[]): Policy {
  const never = 0; // no body is read and nothing is sent
  const times = { bodyTimeout: never, connections: never, responseTimeout: never, idleTimeout: never };
  return {
    settings: { ...times, forwardedHeaders: 'none' },
    routes: new RouteTable([], ROUTE),
    keyring: new Keyring(secrets),
    trusts: () => false,
  };
}
