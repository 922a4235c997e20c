// `verify`: the verdict on one captured delivery, and the likely cause of a mismatch. It must never print a secret, nor
// the right signature.
import type { Paint } from '../base/colours.ts';
import { loadConfig, parseConfig } from '../config/load.ts';
import { admit, admitBody } from '../core/admission.ts';
import type { Secret } from '../core/keyring.ts';
import { REASONS } from '../core/reasons.ts';
import { SIGNATURE_HEADER } from '../core/signature.ts';
import { diagnose } from '../hints/diagnose.ts';
import { buildPolicy } from '../runtime/ruleset.ts';
import { readSecrets, usable } from '../secrets/rotation.ts';
import { command, type Io, JSON_OPTION, readBody, UsageError, usageError } from './command.ts';
import { chosenSource, readSecret, SECRET_OPTIONS, signedHead } from './sign.ts';

export const definition = {
  name: 'verify',
  usage: '--signature VALUE [OPTIONS] [BODY]',
  about: `
Checks the signature of a captured body and prints the secret that made it, or the likely cause of a mismatch.
BODY is a file, or - for standard input, which is also the default. It must be exactly the bytes that were sent.
Without an option the secret is the value of WEBHOOK_ENDPOINT_SECRET_KEY.`,
  options: {
    signature: { type: 'string', value: 'VALUE', does: 'the value of the signature header, or the whole header line' },
    config: { type: 'string', value: 'FILE', does: 'tries all secrets of this configuration' },
    ...SECRET_OPTIONS,
    ...JSON_OPTION,
  },
  positionals: ['BODY'],
  exits: { 0: 'valid', 1: 'invalid' },
  json: {
    valid: '`true` or `false`',
    reason: 'why it is invalid, as in [metrics.md](metrics.md#reasons); `null` if it is valid',
    secret: 'the id of the secret that made the signature; `null` if none did',
    diagnosis: 'its id ([troubleshooting.md](troubleshooting.md)); `null` if it is valid',
    hint: 'the likely cause; `null` if it is valid',
  },
} as const;

/** Bytes. A longer body is tried only unaltered. The limit is above the proxy's, since no other request waits here. */
const DIAGNOSED_BYTES = 1024 * 1024;

export const run = command(definition, async (given, io) => {
  const { signature, config } = given.values;
  if (signature === undefined) throw usageError('--signature is required');
  const source = chosenSource(given.values);
  if (config !== undefined && source !== null) throw usageError('give --config or a secret, not both');
  const secrets = config === undefined ? [await readSecret(source, io)] : await secretsOf(config, io);
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
  const { config } = await loadConfig({ file, env: io.env });
  const read = await readSecrets(config.secrets, io.env);
  for (const { id, problem } of read) if (problem !== null) io.stderr(`warning: secret ${id}: ${problem}\n`);
  const secrets = usable(read);
  if (secrets.length === 0) throw new UsageError(`${file} has no usable secret`);
  return secrets;
}

type Verdict = ReturnType<typeof verdictOn>;

/** The configuration of a proxy without a file: it verifies every POST with all of its secrets. */
const { config: DEFAULTS } = parseConfig({ file: null, bytes: null }, {});

/** The verdict that the proxy would give, with the likely cause if the signature is invalid. */
function verdictOn(given: string, body: Buffer, secrets: readonly Secret[]) {
  const at = Date.now();
  const arrival = { head: signedHead('/', given), policy: buildPolicy(DEFAULTS, secrets), at };
  const admission = admit(arrival);
  const verdict = admission.kind === 'read' ? admitBody(admission, arrival, body) : admission;
  if (verdict.kind === 'forward') {
    return { valid: true, reason: null, secret: verdict.permit.secret, diagnosis: null, hint: null };
  }
  if (verdict.kind !== 'refuse') throw new Error(`a verdict that is to ${verdict.kind}`);
  const { reason, secret } = verdict;
  const unexplained = { diagnosis: REASONS[reason].diagnosis, text: REASONS[reason].meaning };
  const tried = { secrets, listed: null, at, maxBytes: DIAGNOSED_BYTES };
  const { diagnosis, text } = diagnose({ body, given, ...tried }) ?? unexplained;
  return { valid: false, reason, secret, diagnosis, hint: text };
}
