// Rules that concern several keys, or more than the syntax of one; those on routes are in route-rules.ts. Pure, but for
// this machine's own addresses.
// A rule must never judge a default that replaces a bad value, so it first asks whether the value is sound.
import { isIP, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isDirectory } from '../base/default-places.ts';
import { isPrevious } from '../core/keyring.ts';
import { atKey, atValue } from './problems.ts';
import { routesErrors } from './route-rules.ts';
import type { Written } from './schema-problems.ts';

type SecretEntry = Written['secrets'][number];

export function* crossErrors(written: Written) {
  yield* addressErrors(written);
  yield* transportErrors(written);
  for (const secret of written.secrets) yield* secretErrors(secret, written);
  yield* routesErrors(written);
}

function* addressErrors({ values: { listen, admin, upstream }, isSound }: Written) {
  const listeners = Object.entries({ listen, admin });
  const sound = listeners.filter(([name]) => isSound([name, 'port']) && isSound([name, 'host']));
  const hosts = new Set([listen.host, admin.host]);
  // An address for all interfaces collides with every other host.
  const collide = hosts.size === 1 || hosts.has('::') || hosts.has('0.0.0.0');
  if (sound.length === 2 && listen.port === admin.port && listen.port !== 0 && collide) {
    yield atKey(['admin', 'port'], `found ${admin.port}, which is also listen.port; allowed is any other port`);
  }
  for (const [name, own] of isSound(['upstream', 'url']) ? sound : []) {
    if (!reachesListener(upstream.url, own)) continue;
    const message = `the proxy itself listens on this address (${name}.port); allowed is the address of the app`;
    yield atValue(['upstream', 'url'], message);
  }
}

/** The rules of upstream.tls and redelivery.store. */
function* transportErrors({ values: { upstream, redelivery }, isSound }: Written) {
  const path = ['upstream', 'tls'];
  if (upstream.tls !== null && isSound(['upstream', 'url']) && !upstream.url.startsWith('https://')) {
    yield atKey(path, 'found with a URL without TLS; allowed only with an https:// upstream.url');
  }
  for (const [given, other] of [['certFile', 'keyFile'] as const, ['keyFile', 'certFile'] as const]) {
    if (upstream.tls === null || upstream.tls[given] === null || upstream.tls[other] !== null) continue;
    yield atKey([...path, given], `found without ${other}; allowed are both or neither`);
  }
  if (isSound(['redelivery']) && !isDirectory(redelivery.store) && redelivery.name === '') {
    const message = "found without redelivery.name; apps that share this database would get each other's deliveries";
    yield atKey(['redelivery', 'store'], message);
  }
}

function* secretErrors({ path, value, has }: SecretEntry, { secrets, isSound }: Written) {
  const { id, notBefore, notAfter } = value;
  const idAt = [...path, 'id'];
  const sources = (['file', 'env', 'directory'] as const).filter(has);
  if (sources.length > 1 || (sources.length === 0 && isSound(path))) {
    const what = sources.length === 0 ? 'no source' : sources.join(' and ');
    yield atValue(path, `found ${what}, allowed is one of file, env and directory`);
  }
  if (has('directory') && has('id')) {
    yield atKey(idAt, 'found with directory, where file names are the ids; allowed only with file or env');
  }
  if ((has('file') || has('env')) && !has('id')) {
    yield atValue(idAt, 'missing; file and env need an id for metrics and logs');
  }
  if (id !== null && isPrevious(id)) {
    const reserved = 'ends in ".previous", which is reserved for the old value of a rotated secret';
    yield atValue(idAt, `${reserved}; allowed is any other ending`);
  }
  if (has('overlap') && has('env')) {
    yield atKey([...path, 'overlap'], 'found with env, which cannot change; allowed only with file or directory');
  }
  if (notBefore !== null && notAfter !== null && notBefore >= notAfter) {
    yield atValue([...path, 'notAfter'], 'not later than notBefore: the secret would never be valid');
  }
  const first = secrets.findIndex((other) => other.value.id === id);
  if (id !== null && first !== path[1]) {
    yield atValue(idAt, `the same id as secrets[${first}]; allowed is any other id`);
  }
}

// --- an upstream that is the proxy itself, as far as that is known without DNS; the rest shows at the first request: see
// `leadsBack` in upstream/connection-pool.ts

const LOOPBACK = ['127.0.0.1', '::1'];
/** Where Linux connects to for a host that is no address of an interface. */
const CONNECTED = new Map([
  ['localhost', LOOPBACK],
  ['0.0.0.0', ['127.0.0.1']],
  ['::', ['::1']],
]);

/** True if a connection from this machine to the URL is accepted by a listener at `host` and `port`. */
function reachesListener(url: string, { host, port }: { readonly host: string; readonly port: number }): boolean {
  const { protocol = '', hostname = '', port: written = '' } = URL.parse(url) ?? {};
  const usual = { 'http:': '80', 'https:': '443' }[protocol];
  if (usual === undefined || String(port) !== (written || usual)) return false;
  const [listening, name] = [normalAddress(host), normalAddress(hostname.replace(/^\[|\]$/g, ''))];
  const interfaces = Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []);
  const isOwn = (address: string) => /^127\.[0-9.]+$/.test(address) || [...LOOPBACK, ...interfaces].includes(address);
  return (CONNECTED.get(name) ?? [name]).some((address) => {
    if (listening === 'localhost') return LOOPBACK.includes(address);
    const isAny = listening === '::' || (listening === '0.0.0.0' && isIP(address) === 4);
    return listening === address || (isAny && isOwn(address));
  });
}

/** An address in its one spelling, without its zone; an IPv4 address that IPv6 maps as such. Names stay as they are. */
function normalAddress(host: string): string {
  const [address = ''] = host.split('%');
  if (isIP(address) !== 6) return host.toLowerCase();
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=.*\.)/, '');
}
