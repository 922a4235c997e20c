// `probe`: sends one POST and compares the status of the answer.
import { localUrl } from '../base/default-places.ts';
import type { Secret } from '../core/keyring.ts';
import { PROBE_AGENT, PROBE_BODY } from '../core/permit.ts';
import { SIGNATURE_HEADER } from '../core/signature.ts';
import { readSecrets, usable } from '../secrets/rotation.ts';
import { command, type Io, readBody } from './command.ts';
import { type Given, UsageError, usageError } from './options.ts';
import { ask } from './running-proxy.ts';
import { chosenSource, readSecretOrDirectory, signatureOf, signedHead } from './sign.ts';
import { endOf, tried } from './waiting.ts';

const TIMEOUT = 10_000;

export const run = command('probe', async ({ values, positionals: [target] }, io) => {
  const expected = readExpectation(values);
  const unsigned = values['expect-unsigned'];
  const end = endOf(values.wait);
  const { url, secrets, tls } = await addressee(values, target, io);
  const body = values.body === undefined ? PROBE_BODY : await readBody(values.body, io);
  if (unsigned !== undefined && secrets.some((secret) => secret === null))
    throw usageError('--expect-unsigned needs a secret for the signed one before it');
  const attempts: Pick<Request, 'secrets' | 'expected'>[] = [{ secrets, expected }];
  if (unsigned !== undefined) attempts.push({ secrets: [null], expected: exactly(unsigned, '--expect-unsigned') });
  for (const attempt of attempts) {
    const { met, status, report } = await tried(end, () => sent({ url, tls, body, ...attempt }), isUp);
    io.stdout(`${met ? 'ok' : 'failed'}: ${report}\n`);
    if (status === null) io.stderr('`check`, run beside the proxy, says whether it is ready, and why it is not\n');
    if (!met) return 1;
  }
  return 0;
});

interface Request extends Pick<Awaited<ReturnType<typeof addressee>>, 'url' | 'tls'> {
  readonly body: Buffer;
  /** Tried one after another; null is an attempt without a signature. */
  readonly secrets: readonly (Secret | null)[];
  readonly expected: Expectation;
}

type Result = Awaited<ReturnType<typeof sent>>;

/** False while it is worth trying again. */
const isUp = ({ met, status }: Result) => met || (status !== null && status < 500);

/** Sends the request with each secret until one has success. `report` says what was expected, and what came. */
async function sent({ url, tls, body, secrets, expected }: Request) {
  for (const [index, secret] of secrets.entries()) {
    const signature = secret === null ? {} : { [SIGNATURE_HEADER]: signatureOf(secret.key, body) };
    const agent = body === PROBE_BODY || secret === null ? { 'User-Agent': PROBE_AGENT } : {};
    const headers = { 'Content-Type': 'application/json', ...agent, ...signature };
    const { status, text } = await ask({ url, headers, body, timeout: TIMEOUT, ...tls });
    const met = status !== null && expected.meets(status);
    // Another secret may succeed where this one was refused; without an answer none would.
    if (!met && status !== null && index + 1 < secrets.length) continue;
    const got = status === null ? `no answer: ${text}` : `${status} ${text}`.trim();
    const tried = met ? `, with ${secret?.id}` : `, with each of ${secrets.length} secrets`;
    const how = `${secret === null ? 'unsigned' : 'signed'} POST ${url.href}${secrets.length === 1 ? '' : tried}`;
    return { met, status, report: `${expected.meaning}, got ${got} (${how})` };
  }
  throw new Error('nothing to send');
}

type Values = Given<'probe'>['values'];

/** The URL to send to, and the secrets to try one after another; null among them is an attempt without a signature. */
async function addressee(values: Values, target: string | undefined, io: Io) {
  const { url, config, unsigned } = values;
  const source = chosenSource(values);
  if ((url === undefined) === (target === undefined)) throw usageError('give --url or a TARGET');
  if (url !== undefined && config !== undefined) throw usageError('give --url or --config, not both');
  if (unsigned && source !== null) throw usageError('give --unsigned or a secret, not both');
  const named = unsigned ? [null] : source && (await readSecretOrDirectory(source, io));
  if (target === undefined) return { url: readUrl(url ?? ''), secrets: named ?? [null], tls: {} };
  const { url: running, live } = await runningProxy(target, config ?? null, io);
  const secrets = named ?? live;
  if (secrets === null) {
    const why = "none of its route's secrets can be read here and is live; `check` says which the running proxy has";
    throw new UsageError(`a POST to ${target} cannot be signed: ${why}`);
  }
  return { url: running, secrets, tls: { certificate: 'any' } as const };
}

/** The target's URL on the running proxy, and the live secrets of its route; null if it has none. */
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
  if (admission.kind === 'read') return { url, live: admission.live };
  // The running proxy may have the last good value of a secret that cannot be read any more.
  if (admission.kind === 'refuse' && admission.reason === 'no_live_secret') return { url, live: null };
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

type Expectation = ReturnType<typeof exactly>;

function readExpectation({ expect, 'expect-not': expectNot }: Values): Expectation {
  if (expect !== undefined && expectNot !== undefined) throw usageError('give --expect or --expect-not, not both');
  if (expect !== undefined) return exactly(expect, '--expect');
  if (expectNot === undefined) return { meaning: 'expected 2xx', meets: (status) => status >= 200 && status < 300 };
  const { meets } = exactly(expectNot, '--expect-not');
  return { meaning: `expected anything but ${expectNot}`, meets: (status) => !meets(status) };
}

function exactly(text: string, option: string) {
  if (!/^[1-5][0-9][0-9]$/.test(text)) throw usageError(`${option} takes a status from 100 to 599, not '${text}'`);
  return { meaning: `expected ${text}`, meets: (status: number) => status === Number(text) };
}
