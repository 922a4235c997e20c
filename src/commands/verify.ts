// `verify`: the verdict on a captured delivery, and a mismatch's likely cause. Never prints a secret or the right signature.
import { NO_BYTES } from '../base/bytes.ts';
import type { Paint } from '../base/printable.ts';
import { type LoadedConfig, loadConfig, parseConfig } from '../config/load.ts';
import { admit, admitBody, type Policy, type ToRead } from '../core/admission.ts';
import { type Hint, largeBodyHint, renamedText } from '../core/hint.ts';
import type { Secret } from '../core/keyring.ts';
import { isReportable, REASONS, type Reason } from '../core/reasons.ts';
import { Head } from '../core/request-head.ts';
import { renamedSignature, SIGNATURE_HEADER } from '../core/signature.ts';
import { createDiagnosis, diagnose } from '../hints/refused-signature.ts';
import { buildPolicy } from '../runtime/ruleset.ts';
import { readSecrets, usable } from '../secrets/rotation.ts';
import { MessageParser } from '../wire/parser.ts';
import { command, type Io, readBody } from './command.ts';
import { UsageError, usageError } from './options.ts';
import { chosenSource, readSecret, signedHead } from './sign.ts';

/** Bytes. A longer body is tried only unaltered. The limit is above the proxy's, since no other request waits here. */
const DIAGNOSED_BYTES = 1024 * 1024;

export const run = command('verify', async ({ values, positionals: [file] }, io) => {
  const { signature, request, config, json } = values;
  if ((signature === undefined) === (request === undefined)) throw usageError('give --signature or --request');
  if (request !== undefined && file !== undefined) throw usageError('--request holds the body, so give no BODY');
  const source = chosenSource(values);
  if (config !== undefined && source !== null) throw usageError('give --config or a secret, not both');
  const named = config === undefined ? null : await loadConfig({ file: config, env: io.env });
  const secrets = named === null ? [await readSecret(source, io)] : await secretsOf(named, io);
  const bytes = await readBody(request ?? file, io);
  // A signature alone has no path, so it meets all secrets, whatever the routes.
  const routes = request === undefined || named === null ? DEFAULTS : named.config;
  const { maxHeader } = routes.limits;
  const captured = signature === undefined ? readRequest(bytes, maxHeader) : signedBody(bytes, signature);
  const verdict = verdictOn(captured, buildPolicy(routes, secrets), secrets);
  io.stdout(json ? `${JSON.stringify(verdict)}\n` : textOf(verdict, io.paint));
  return verdict.valid ? 0 : 1;
});

function textOf({ valid, reason, secret, hint }: ReturnType<typeof verdictOn>, paint: Paint): string {
  const first = valid ? paint('green', 'valid') : `${paint('red', 'invalid')}: ${reason}`;
  return [first, secret && `secret: ${secret}`, hint && `hint: ${hint}`, ''].filter((line) => line !== null).join('\n');
}

/** `pasted`: the value, or the whole header line as logs and `curl -v` show it, with the white space that HTTP allows. */
function signedBody(body: Buffer, pasted: string): ReturnType<typeof readRequest> {
  const value = pasted.replace(new RegExp(`^[>\\s]*${SIGNATURE_HEADER}[ \\t]*:`, 'i'), '').trim();
  return { head: signedHead('/', value), refusal: 'bad_request', lines: [], body, read: 0 };
}

async function secretsOf({ config, file }: LoadedConfig, io: Io): Promise<readonly Secret[]> {
  const read = await readSecrets(config.secrets, io.env);
  for (const { id, problem } of read) if (problem !== null) io.stderr(`warning: secret ${id}: ${problem}\n`);
  const secrets = usable(read);
  if (secrets.length === 0) throw new UsageError(`${file} has no usable secret`);
  return secrets;
}

/** The configuration of a proxy without a file: it verifies every POST with all of its secrets. */
const { config: DEFAULTS } = parseConfig({ file: null, bytes: null }, {});

/**
 * Reads a request as it came, with the proxy's own parser: `head` and `body` are null if they are not whole; `refusal`
 * is why the proxy then refuses them, at the latest when its time is over; `read` is how many bytes of the body there are.
 */
export function readRequest(bytes: Buffer, mostHead: number) {
  const parser = new MessageParser('request', mostHead);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length && (parser.state === 'head' || parser.state === 'body'); ) {
    at = parser.read(bytes, at);
    if (parser.piece !== null) pieces.push(Buffer.from(parser.piece));
  }
  const { state, lines, failure } = parser;
  const all: Buffer = Buffer.concat(pieces);
  const head = parser.hasHead ? new Head(parser, lines) : null;
  const cut = head === null ? 'header_timeout' : 'body_timeout';
  const refusal = { none: cut, too_large: 'header_too_large', malformed: 'bad_request' } as const;
  const body = state === 'ended' ? all : null;
  return { head, refusal: refusal[failure ?? 'none'], lines, body, read: all.length };
}

/** The verdict that the proxy would give now, with the likely cause if the request would be refused. */
function verdictOn(given: ReturnType<typeof readRequest>, policy: Policy, secrets: readonly Secret[]) {
  const { head, refusal, lines, body, read } = given;
  const at = Date.now();
  if (head === null) return invalid(refusal, null, null);
  const arrival = { head, policy, at };
  const admission = admit(arrival);
  if (admission.kind === 'read' && (body === null || read > admission.route.maxBody)) return unread(admission, given);
  const verdict = admission.kind === 'read' ? admitBody(admission, arrival, body ?? NO_BYTES) : admission;
  if (verdict.kind === 'permit') {
    if (verdict.permit.secret === null) throw new UsageError(`its route ${verdict.route.path} forwards, unverified`);
    return { valid: true, reason: null, secret: verdict.permit.secret.id, diagnosis: null, hint: null };
  }
  const { reason, secret, hint } = verdict.kind === 'refuse' ? verdict : { ...verdict.permit, ...verdict };
  if (reason === 'none') throw new Error('a report without a reason');
  const listed = policy.routes.routeFor(head.path, at)?.secrets ?? null;
  const tried = { given: head.signature, lines, secrets, listed, at, maxBytes: DIAGNOSED_BYTES };
  const isSigned = head.signatures === 1 && reason !== 'method_not_allowed' && isReportable(reason);
  // A body that is not there was not read, which says nothing about it.
  const ofSignature = body === null ? createDiagnosis().form(head, reason) : diagnose({ ...tried, body });
  const name = reason === 'missing_signature' ? renamedSignature(lines) : null;
  const renamed = name === null ? null : ({ diagnosis: 'signature-dropped', text: renamedText(name) } as const);
  return invalid(reason, secret, (isSigned ? ofSignature : renamed) ?? hint);
}

/** The verdict on a body that passes the limit, where the proxy cuts it, or that is not whole. */
function unread({ route: { maxBody }, declared }: ToRead, { read, refusal }: ReturnType<typeof readRequest>) {
  if (read > maxBody) return invalid('body_too_large', null, largeBodyHint(maxBody, declared));
  if (read > 0 || refusal === 'bad_request') return invalid(refusal, null, null);
  throw new UsageError('the file holds no body, which this verdict needs: the proxy refused it unread, or none came');
}

function invalid(reason: Reason, secret: string | null, hint: Hint | null) {
  const { diagnosis, text } = hint ?? { diagnosis: REASONS[reason].diagnosis, text: REASONS[reason].meaning };
  return { valid: false, reason, secret, diagnosis, hint: text };
}
