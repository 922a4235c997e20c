// `check --probe`: two POSTs to the traffic port of the running proxy, one unsigned and one signed with a live secret of
// the route. The only part of `check` that reads secrets. It must never print one, nor a signature.
import type { ApiStatus } from '../../admin/advice.ts';
import { PAGES } from '../../admin/advice-pages.ts';
import { localUrl } from '../../base/local-url.ts';
import type { Env } from '../../config/environment.ts';
import { loadConfig } from '../../config/load.ts';
import { admit, arrivalOf } from '../../core/admission.ts';
import type { Secret } from '../../core/keyring.ts';
import { Head } from '../../core/request-head.ts';
import { type Route, reports } from '../../core/routes.ts';
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../../core/signature.ts';
import { buildPolicy } from '../../runtime/ruleset.ts';
import { readSecrets } from '../../secrets/rotation.ts';
import { ask } from '../ask.ts';
import { failed, type Line, ok, unknown, warning } from './status-lines.ts';

const UNSIGNED = 'probe-unsigned';
const SIGNED = 'probe-signed';
const TIMEOUT = 10_000;

interface Running {
  /** The configuration in use; null for the environment alone. */
  readonly file: string | null;
  readonly status: ApiStatus;
  readonly env: Env;
}

export async function probeLines(target: string, { file, status, env }: Running): Promise<readonly Line[]> {
  const { host, port, tls } = status.listen;
  // Never resolved against the address: `//other/notify` would then name another host.
  const url = new URL(`${tls ? 'https' : 'http'}://${localUrl(host, port).hostname}:${port}${target}`);
  const found = await routeOf(url.pathname + url.search, file, env);
  if (typeof found === 'string') {
    const remedy = `Name a target of a verified route that takes POST; explain POST '${target}' tells what happens.`;
    const message = `A POST to ${target} cannot be probed: ${found}.`;
    return [failed(UNSIGNED, { message, remedy, page: PAGES.refused })];
  }
  const { route, secrets, asksForCertificate } = found;
  if (asksForCertificate) {
    const message = 'Clients need a TLS certificate (listen.tls.clientCaFile), and check has none.';
    const remedy = 'Send a probe as a client of yours does.';
    return [unknown(UNSIGNED, { message, remedy, page: PAGES.certificates })];
  }
  return [await unsigned(url, route), await signed(url, secrets)];
}

/** The route that verifies a POST to the target, and its live secrets; or why there is none. */
async function routeOf(target: string, file: string | null, env: Env) {
  const { config } = await loadConfig({ file, env }).catch((error: Error) => {
    if (error.name === 'ConfigError') return { config: null };
    throw error;
  });
  if (config === null) return 'the configuration cannot be read';
  const policy = buildPolicy(config, await readSecrets(config.secrets, env));
  const now = Date.now();
  const lines = ['Host', 'localhost', SIGNATURE_HEADER, `${SIGNATURE_PREFIX}${'A'.repeat(43)}=`];
  const head = new Head({ method: 'POST', target, version: '1.1' }, lines);
  const admission = admit(arrivalOf(head, policy, now));
  if (admission.kind === 'refuse') return `it is refused as ${admission.reason}`;
  if (admission.kind !== 'read') return 'it is not verified';
  const { route } = admission;
  const asksForCertificate = (config.listen.tls?.clientCaFile ?? null) !== null;
  return { route, secrets: policy.keyring.live(route.secrets, now), asksForCertificate };
}

/** A body of its own each time, or a route with `once` would answer the second probe as a duplicate. */
const newBody = () => Buffer.from(JSON.stringify({ probe: 'entrupy-signature-proxy', at: new Date().toISOString() }));

async function unsigned(url: URL, route: Route): Promise<Line> {
  const { status, text } = await post(url, newBody(), {});
  const path = url.pathname;
  if (status === 401) return ok(UNSIGNED, `An unsigned POST to ${path} gets 401.`);
  if (status === null) return noAnswer(UNSIGNED, url, text);
  const message = `An unsigned POST to ${path} gets ${status} in place of 401.`;
  if (reports(route, Date.now())) {
    const remedy = 'Set mode: enforce once no request is reported any more.';
    return warning(UNSIGNED, { message: `${message} The route only reports.`, remedy, page: PAGES.reportMode });
  }
  const remedy = 'Is it this proxy that answers there? Look at its log, and at what stands in front of the app.';
  return failed(UNSIGNED, { message, remedy, page: PAGES.refused });
}

async function signed(url: URL, [secret]: readonly Secret[]): Promise<Line> {
  const path = url.pathname;
  if (secret === undefined) {
    const message = `No secret of the route of ${path} is live.`;
    return failed(SIGNED, { message, remedy: 'Add one.', page: PAGES.noLiveSecret });
  }
  const body = newBody();
  const signature = `${SIGNATURE_PREFIX}${signBody(secret.key, body)}`;
  const { status, text } = await post(url, body, { [SIGNATURE_HEADER]: signature });
  if (status === null) return noAnswer(SIGNED, url, text);
  const message = `A POST to ${path} signed with secret ${secret.id} gets ${status}`;
  if (status === 401) {
    const remedy = 'Does the proxy use the same configuration and secrets? Reload it, and look at its status page.';
    return failed(SIGNED, { message: `${message}.`, remedy, page: PAGES.refused });
  }
  if (status < 500) return ok(SIGNED, `${message}: it is verified.`);
  const remedy = 'Look at the log of the app, and at the other lines.';
  return warning(SIGNED, { message: `${message}: verified, but not delivered.`, remedy, page: PAGES.upstream });
}

function post(url: URL, body: Buffer, more: Readonly<Record<string, string>>) {
  const headers = { 'Content-Type': 'application/json', ...more };
  return ask({ url, headers, body, timeout: TIMEOUT, certificate: 'any' });
}

function noAnswer(id: string, url: URL, why: string): Line {
  const remedy = 'Run check on the host of the proxy or in its container.';
  return failed(id, { message: `No answer from ${url.origin}: ${why}.`, remedy, page: PAGES.refused });
}
