// `probe`: sends one POST and compares the status of the answer.
import { localUrl } from '../base/default-places.ts';
import { PROBE_BODY } from '../core/permit.ts';
import { SIGNATURE_HEADER } from '../core/signature.ts';
import { readSecrets, usable } from '../secrets/rotation.ts';
import { CONFIG_OPTION, command, type Io, UsageError, usageError, type ValuesOf } from './command.ts';
import { ask } from './running-proxy.ts';
import { chosenSource, readSecretOrDirectory, SECRET_OPTIONS, signatureOf, signedHead } from './sign.ts';

export const definition = {
  name: 'probe',
  usage: '{--url URL | [--config FILE] TARGET} [OPTIONS]',
  about: `
Sends one POST with the body ${PROBE_BODY}, and prints the answer. Waits at most 10 s.
To TARGET, a path of a verified route, it goes to the proxy that runs here with the configuration, signed with
the route's live secrets; to --url it is signed if a secret is given. Of several secrets, as of a directory in
--secret-file, each is tried until one succeeds. Without --expect and --expect-not, a 2xx is a success.
Your app gets a verified one. The proxy counts it as a probe, not as a delivery: send one every few minutes.

  entrupy-signature-proxy probe /notify
  entrupy-signature-proxy probe /notify --unsigned --expect 401`,
  positionals: ['TARGET'],
  options: {
    url: { type: 'string', value: 'URL', does: 'http:// or https://' },
    ...CONFIG_OPTION,
    ...SECRET_OPTIONS,
    unsigned: { type: 'boolean', does: 'sends it without a signature' },
    expect: { type: 'string', value: 'CODE', does: 'succeeds only on this status' },
    'expect-not': { type: 'string', value: 'CODE', does: 'succeeds on every status but this' },
  },
  exits: { 0: 'success', 1: 'another answer, or none' },
} as const;

const TIMEOUT = 10_000;

export const run = command(definition, async ({ values, positionals: [target] }, io) => {
  const expected = readExpectation(values);
  const { url, secrets, tls } = await addressee(values, target, io);
  for (const [index, secret] of secrets.entries()) {
    const signature = secret === null ? {} : { [SIGNATURE_HEADER]: signatureOf(secret.key, PROBE_BODY) };
    const headers = { 'Content-Type': 'application/json', ...signature };
    const { status, text } = await ask({ url, headers, body: PROBE_BODY, timeout: TIMEOUT, ...tls });
    const met = status !== null && expected.meets(status);
    // Another secret may succeed where this one was refused; without an answer none would.
    if (!met && status !== null && index + 1 < secrets.length) continue;
    const got = status === null ? `no answer: ${text}` : `${status} ${text}`.trim();
    const how = secret === null ? 'unsigned' : 'signed';
    const tried = met ? `, with ${secret?.id}` : `, with each of ${secrets.length} secrets`;
    const which = secrets.length === 1 ? '' : tried;
    io.stdout(`${met ? 'ok' : 'failed'}: ${expected.meaning}, got ${got} (${how} POST ${url.href}${which})\n`);
    return met ? 0 : 1;
  }
  throw new Error('nothing to send');
});

type Values = ValuesOf<typeof definition>;

/** The URL to send to, and the secrets to try one after another; null among them is an attempt without a signature. */
async function addressee(values: Values, target: string | undefined, io: Io) {
  const { url, config, unsigned } = values;
  const source = chosenSource(values);
  if ((url === undefined) === (target === undefined)) throw usageError('give --url or a TARGET');
  if (url !== undefined && config !== undefined) throw usageError('give --url or --config, not both');
  if (unsigned && source !== null) throw usageError('give --unsigned or a secret, not both');
  const named = unsigned ? [null] : source && (await readSecretOrDirectory(source, io));
  if (target === undefined) return { url: readUrl(url ?? ''), secrets: named ?? [null], tls: {} };
  const running = await runningProxy(target, config ?? null, io);
  return { url: running.url, secrets: named ?? running.secrets, tls: { certificate: 'any' } as const };
}

/** The target's URL on the running proxy, and the live secrets of its route. */
async function runningProxy(target: string, file: string | null, { env }: Io) {
  if (!target.startsWith('/')) throw usageError('TARGET must begin with /');
  // Loaded only here: the parser and its libraries take as much memory as the rest of this command.
  const { loadConfig } = await import('../config/load.ts');
  const { admit } = await import('../core/admission.ts');
  const { buildPolicy } = await import('../runtime/ruleset.ts');
  const { config } = await loadConfig({ file, env });
  const { host, port, tls } = config.listen;
  if ((tls?.clientCaFile ?? null) !== null) {
    throw new UsageError('clients need a TLS certificate (listen.tls.clientCaFile), and probe has none');
  }
  // The target is never resolved against the address: `//other/notify` would then name another host.
  const url = new URL(`${tls === null ? 'http' : 'https'}://${localUrl(host, port).host}${target}`);
  const policy = buildPolicy(config, usable(await readSecrets(config.secrets, env)));
  const admission = admit({ head: signedHead(url.pathname + url.search), policy, at: Date.now() });
  if (admission.kind === 'read') return { url, secrets: admission.live };
  const why = admission.kind === 'refuse' ? `it is refused as ${admission.reason}` : 'no route verifies it';
  throw new UsageError(`a POST to ${target} cannot be probed: ${why}`);
}

function readUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usageError(`--url must be an http:// or https:// URL, not '${text}'`);
  }
  if (url.username !== '' || url.password !== '') throw usageError('--url must not hold a user or password');
  return url;
}

function readExpectation({ expect, 'expect-not': expectNot }: Values) {
  if (expect !== undefined && expectNot !== undefined) throw usageError('give --expect or --expect-not, not both');
  const text = expect ?? expectNot;
  if (text === undefined) return { meaning: 'expected 2xx', meets: (status: number) => status >= 200 && status < 300 };
  const not = expectNot === undefined ? '' : '-not';
  if (!/^[1-5][0-9][0-9]$/.test(text)) throw usageError(`--expect${not} takes a status from 100 to 599, not '${text}'`);
  const meaning = `expected ${not === '' ? '' : 'anything but '}${text}`;
  return { meaning, meets: (status: number) => (status === Number(text)) === (not === '') };
}
