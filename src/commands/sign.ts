// `sign`: prints the signature of a body, as Entrupy would send it. It must never print the secret.
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { type Io, readBody } from './io.ts';
import { chosenSource, defaultSource, readSecret, SECRET_OPTIONS } from './secret-option.ts';
import { runCommand } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy sign [OPTIONS] [BODY]

Prints the signature of a body: SHA256:<base64 of HMAC-SHA256(secret, body)>.
BODY is a file, or - for standard input, which is also the default.

  --secret-file FILE   the secret is the content of FILE, without one trailing line break
  --secret-env NAME    the secret is the value of this variable (default: WEBHOOK_ENDPOINT_SECRET_KEY)
  --header             prints the whole header line, for curl -H
  --help               prints this

Example:
  curl -X POST --data-binary @event.json -H "$(entrupy-signature-proxy sign --header event.json)" http://localhost:8080/notify

Exit code: 0, or 2 where the command line, the secret or the body cannot be used.
`;

const SHAPE = {
  name: 'sign',
  help,
  options: { ...SECRET_OPTIONS, header: 'flag' },
  positionals: ['BODY'],
} as const;

export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values, positionals }) => {
    const { key } = await readSecret(chosenSource(values) ?? defaultSource(), io);
    const body = await readBody(positionals[0], io);
    if (body.length === 0) io.stderr('warning: the body is empty\n');
    const signature = `${SIGNATURE_PREFIX}${signBody(key, body)}`;
    io.stdout(`${values.header === true ? `${SIGNATURE_HEADER}: ` : ''}${signature}\n`);
    return 0;
  });
}
