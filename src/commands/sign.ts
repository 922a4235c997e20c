// `sign`: prints the signature of a body, as Entrupy would send it. It must never print the secret.
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { command, readBody } from './command-line.ts';
import { chosenSource, DEFAULT_SOURCE, readSecret, SECRET_OPTIONS } from './secret-option.ts';

const help = `Usage: entrupy-signature-proxy sign [OPTIONS] [BODY]

Prints the signature of a body: SHA256:<base64 of HMAC-SHA256(secret, body)>.
BODY is a file, or - for standard input, which is also the default.

  --secret-file FILE   the secret is the content of FILE, without one trailing line break
  --secret-env NAME    the secret is the value of this variable (default: WEBHOOK_ENDPOINT_SECRET_KEY)
  --header             prints the whole header line, for curl -H
  --help               prints this

Example:
  curl -X POST --data-binary @event.json -H "$(entrupy-signature-proxy sign --header event.json)" http://localhost:8080/notify

Exit code: 0, or 2 if the command line, the secret or the body cannot be used.
`;

const options = { ...SECRET_OPTIONS, header: { type: 'boolean' } } as const;

export const run = command({ name: 'sign', help, options, positionals: ['BODY'] }, async (given, io) => {
  const { key } = await readSecret(chosenSource(given.values) ?? DEFAULT_SOURCE, io);
  const body = await readBody(given.positionals[0], io);
  if (body.length === 0) io.stderr('warning: the body is empty\n');
  const signature = `${SIGNATURE_PREFIX}${signBody(key, body)}`;
  io.stdout(`${given.values.header ? `${SIGNATURE_HEADER}: ` : ''}${signature}\n`);
  return 0;
});
