// `verify`: gives the verdict on one captured delivery, and on a mismatch the likely cause. It must never print a
// secret, nor what the signature should have been.

import { type Secret, stateOf } from '../core/policy.ts';
import { readSignature, SIGNATURE_HEADER, signs } from '../core/signature.ts';
import { type DiagnosisKey, diagnose } from '../hints/diagnose.ts';
import { readSecrets } from '../secrets/sources.ts';
import { type Io, readBody } from './io.ts';
import { chosenSource, defaultSource, readSecret, SECRET_OPTIONS } from './secret-option.ts';
import { mistake, runCommand, UsageError } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy verify --signature VALUE [OPTIONS] [BODY]

Tells whether a captured body bears a valid signature, by which secret, and where not, the likely cause.
BODY is a file, or - for standard input, which is also the default. It must be the very bytes that were sent.

  --signature VALUE    the value of the ${SIGNATURE_HEADER} header, or the whole header line
  --config FILE        tries all secrets of this configuration
  --secret-file FILE   the secret is the content of FILE, without one trailing line break
  --secret-env NAME    the secret is the value of this variable (default: WEBHOOK_ENDPOINT_SECRET_KEY)
  --help               prints this

Exit code: 0 valid, 1 invalid, 2 where the command line, the secret or the body cannot be used.
`;

const SHAPE = {
  name: 'verify',
  help,
  options: { ...SECRET_OPTIONS, signature: 'text', config: 'text' },
  positionals: ['BODY'],
} as const;

/** A body longer than this is only tried as it is. More than the proxy gives: nobody else waits here. */
const DIAGNOSED_BYTES = 1024 * 1024;

export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values, positionals }) => {
    if (values.signature === undefined) throw mistake('--signature is needed');
    const source = chosenSource(values);
    if (values.config !== undefined && source !== null) throw mistake('give --config or a secret, not both');
    const secrets =
      values.config === undefined
        ? [{ ...(await readSecret(source ?? defaultSource(), io)), notBefore: null, notAfter: null }]
        : await secretsOf(values.config, io);
    const body = await readBody(positionals[0], io);
    const { text, code } = judge({ given: headerValue(values.signature), body, secrets, now: Date.now() });
    io.stdout(text);
    return code;
  });
}

/** Accepts the whole line as logs and `curl -v` show it; the white space that HTTP allows around a value goes. */
function headerValue(pasted: string): string {
  return pasted.replace(new RegExp(`^[>\\s]*${SIGNATURE_HEADER}[ \\t]*:`, 'i'), '').trim();
}

async function secretsOf(file: string, io: Io): Promise<readonly Secret[]> {
  // Loaded only here: the other ways to name a secret need no configuration, nor the libraries that read one.
  const { ConfigError, formatProblem, loadConfig } = await import('../config/load.ts');
  try {
    const { config } = await loadConfig({ file, env: io.env });
    const read = await readSecrets(config.secrets, io.env);
    for (const { id, problem } of read) if (problem !== null) io.stderr(`warning: secret ${id}: ${problem}\n`);
    const secrets = read.flatMap((secret) => (secret.key === null ? [] : [{ ...secret, key: secret.key }]));
    if (secrets.length === 0) throw new UsageError(`${file} gives no secret that can be used`);
    return secrets;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new UsageError(`the configuration cannot be used\n${error.problems.map(formatProblem).join('\n')}`);
  }
}

interface Delivery {
  readonly given: string;
  readonly body: Buffer;
  readonly secrets: readonly Secret[];
  /** Epoch milliseconds. */
  readonly now: number;
}

interface Verdict {
  readonly text: string;
  readonly code: 0 | 1;
}

function judge({ given, body, secrets, now }: Delivery): Verdict {
  const keys = secrets.map(({ id, key, ...validity }): DiagnosisKey => {
    const state = stateOf(validity, now);
    return { id, key, use: state === 'live' ? 'route' : state };
  });
  const form = readSignature(given);
  if (form.reason !== null) {
    const hint = diagnose({ body, given, keys, maxBytes: DIAGNOSED_BYTES });
    return { text: lines({ verdict: `invalid: ${form.reason}`, hint }), code: 1 };
  }
  const digest = Buffer.from(form.digest, 'latin1');
  const signers = keys.filter(({ key }) => signs(key, body, digest));
  const live = signers.find(({ use }) => use === 'route');
  if (live !== undefined) return { text: lines({ verdict: 'valid', secret: live.id }), code: 0 };
  const hint = diagnose({ body, given, keys, maxBytes: DIAGNOSED_BYTES });
  const outside = signers[0];
  if (outside !== undefined) {
    return { text: lines({ verdict: 'invalid: expired_secret', secret: outside.id, hint }), code: 1 };
  }
  const reason = keys.some(({ use }) => use === 'route') ? 'signature_mismatch' : 'no_live_secret';
  return { text: lines({ verdict: `invalid: ${reason}`, hint: hint ?? 'no usual mistake explains it' }), code: 1 };
}

function lines({ verdict, secret, hint }: { verdict: string; secret?: string; hint?: string | null }): string {
  return [
    verdict,
    ...(secret === undefined ? [] : [`secret: ${secret}`]),
    ...(hint === undefined || hint === null ? [] : [`hint: ${hint}`]),
    '',
  ].join('\n');
}
