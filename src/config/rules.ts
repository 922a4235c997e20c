// The rules that need more than one key, of the whole configuration but its routes (route-rules.ts): pure, no clock.
// A rule must never judge by a default that stands in for a bad value: it asks `sound` first.
import type { Finding, KeyPath } from './problems.ts';
import { routeErrors } from './route-rules.ts';
import type { SecretPart, Written } from './written.ts';

/** Everything wrong that no single value shows. */
export function crossErrors(written: Written): readonly Finding[] {
  return [
    ...addressErrors(written),
    ...upstreamTlsErrors(written),
    ...secretErrors(written.secrets),
    ...routeErrors(written),
  ];
}

export function atKey(path: KeyPath, name: string, message: string): Finding {
  return { path: [...path, name], at: 'key', message };
}

const WILDCARDS = ['::', '0.0.0.0'];

/** True where a socket that listens on `a` leaves no room for one on `b`, the port being the same. */
function hostsCollide(a: string, b: string): boolean {
  return a === b || WILDCARDS.includes(a) || WILDCARDS.includes(b);
}

function addressErrors({ listen, admin, upstream }: Written): readonly Finding[] {
  const found: Finding[] = [];
  const listening = [listen, admin].filter(({ sound }) => sound('port') && sound('host'));
  const [client, own] = [listen.value, admin.value];
  if (listening.length === 2 && client.port === own.port && client.port !== 0 && hostsCollide(client.host, own.host)) {
    found.push(atKey(['admin'], 'port', `found ${own.port}, which is listen.port too; allowed is a port of its own`));
  }
  const { hostname = '', port = '' } = upstream.sound('url') ? (URL.parse(upstream.value.url) ?? {}) : {};
  const loopback = /^(?:localhost|127\.[0-9.]+|\[::1\])$/.test(hostname);
  for (const { path, value } of loopback ? listening : []) {
    if (String(value.port) !== port || !/^(?:::1?|0\.0\.0\.0|127\.[0-9.]+|localhost)$/.test(value.host)) continue;
    const message = `the proxy itself listens there (${path.join('.')}.port); allowed is the address of the app`;
    found.push({ path: ['upstream', 'url'], at: 'value', message });
  }
  return found;
}

function upstreamTlsErrors({ upstream }: Written): readonly Finding[] {
  const { url, tls } = upstream.value;
  if (tls === undefined) return [];
  const found: Finding[] = [];
  if (upstream.sound('url') && !url.startsWith('https://')) {
    found.push(
      atKey(['upstream'], 'tls', 'found beside a URL without TLS; allowed only with an https:// upstream.url'),
    );
  }
  const path = ['upstream', 'tls'];
  if (tls.certFile !== undefined && tls.keyFile === undefined)
    found.push(atKey(path, 'certFile', 'found without keyFile; allowed are both or neither'));
  if (tls.keyFile !== undefined && tls.certFile === undefined)
    found.push(atKey(path, 'keyFile', 'found without certFile; allowed are both or neither'));
  return found;
}

const SOURCES = ['file', 'env', 'directory'] as const;

function secretErrors(secrets: readonly SecretPart[]): readonly Finding[] {
  const seen = new Map<string, number>();
  return secrets.flatMap((part, index) => {
    const found = secretEntryErrors(part);
    const { id } = part.value;
    if (id === undefined) return found;
    const first = seen.get(id);
    if (first === undefined) seen.set(id, index);
    else
      found.push({
        path: [...part.path, 'id'],
        at: 'value',
        message: `the same id as secrets[${first}]; allowed is one of its own`,
      });
    return found;
  });
}

function secretEntryErrors({ path, value, has, whole }: SecretPart): Finding[] {
  const found: Finding[] = [];
  const sources = SOURCES.filter(has);
  if (sources.length !== 1 && (sources.length > 1 || whole)) {
    const what = sources.length === 0 ? 'no source' : `${sources.join(' and ')}`;
    found.push({ path, at: 'value', message: `found ${what}, allowed is one of file, env and directory` });
  }
  if (has('directory') && has('id'))
    found.push(atKey(path, 'id', 'found beside directory, whose files name the ids; allowed only with file or env'));
  if ((has('file') || has('env')) && !has('id'))
    found.push({
      path: [...path, 'id'],
      at: 'value',
      message: 'missing; file and env need a name for metrics and logs',
    });
  if (value.id?.endsWith('.previous') === true) {
    found.push({
      path: [...path, 'id'],
      at: 'value',
      message: 'ends in ".previous", which names the old value of a rotated secret; allowed is any other ending',
    });
  }
  if (has('overlap') && has('env'))
    found.push(atKey(path, 'overlap', 'found beside env, which cannot change; allowed only with file or directory'));
  const { notBefore, notAfter } = value;
  if (notBefore !== undefined && notAfter !== undefined && notBefore >= notAfter) {
    found.push({
      path: [...path, 'notAfter'],
      at: 'value',
      message: 'not later than notBefore: the secret would never be valid',
    });
  }
  return found;
}
