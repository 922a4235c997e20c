// `sign`: prints the signature of a body, as Entrupy would send it. It must never print the secret.
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { command, readBody } from './command-line.ts';
import { chosenSource, DEFAULT_SOURCE, readSecret, SECRET_OPTIONS } from './secret-option.ts';

export const definition = {
  name: 'sign',
  usage: '[OPTIONS] [BODY]',
  about: `
Prints the signature of a body: SHA256:<base64 of HMAC-SHA256(secret, body)>.
BODY is a file, or - for standard input, which is also the default. Without an option the secret is the value of
WEBHOOK_ENDPOINT_SECRET_KEY.

  curl -X POST --data-binary @event.json -H "$(entrupy-signature-proxy sign --header event.json)" http://localhost:8080/notify`,
  options: { ...SECRET_OPTIONS, header: { type: 'boolean', does: 'prints the whole header line, for curl -H' } },
  positionals: ['BODY'],
  exits: [
    ['0', 'printed'],
    ['2', 'the command line, the secret or the body cannot be used'],
  ],
} as const;

export const run = command(definition, async (given, io) => {
  const { key } = await readSecret(chosenSource(given.values) ?? DEFAULT_SOURCE, io);
  const body = await readBody(given.positionals[0], io);
  if (body.length === 0) io.stderr('warning: the body is empty\n');
  const signature = `${SIGNATURE_PREFIX}${signBody(key, body)}`;
  io.stdout(`${given.values.header ? `${SIGNATURE_HEADER}: ` : ''}${signature}\n`);
  return 0;
});
