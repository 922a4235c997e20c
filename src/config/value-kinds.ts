// The kinds of value that a key can have, as zod schemas. One phrase says what is allowed, in errors and docs alike.
// No phrase repeats the value that was found: it may hold a password.
import { isIP } from 'node:net';
import * as z from 'zod/mini';
import { isDirectory } from '../base/default-places.ts';
import { listOf } from '../base/nearest-word.ts';
import { isoDate } from '../core/keyring.ts';
import { DURATION, type Quantity, SIZE } from './units.ts';

/** For each schema, a phrase that says what is allowed. `format`: a number as a user would write it; by default digits. */
export const ALLOWED = z.registry<{ readonly allowed: string; readonly format?: Format }>();

type Format = (value: number) => string;

function allows<S extends z.ZodMiniType>(allowed: string, schema: S, format: Format = String): S {
  ALLOWED.add(schema, { allowed, format });
  return schema;
}

/** A key that may be left out, and is then null. */
export function optional<S extends z.ZodMiniType>(schema: S) {
  const orNull = z.transform((value: z.output<S> | undefined) => value ?? null);
  return z.pipe(z.optional(schema), orNull);
}

/** A key that may be left out, with its default as a user would write it. */
export const or = z.prefault;

/** A schema that converts values; JSON Schema shows `input`. `read` returns null for a value that is not allowed. */
function converted<I, T>(input: z.ZodMiniType<I, unknown>, read: (written: I) => T | null) {
  const reader = z.transform((written: I, context): T => {
    const value = read(written);
    if (value !== null) return value;
    context.issues.push({ code: 'custom', input: written });
    return z.NEVER;
  });
  return z.pipe(input as z.ZodMiniType<I, I>, reader);
}

export const integer = (min: number, max: number) =>
  allows(`a whole number from ${min} to ${max}`, z.int().check(z.gte(min), z.lte(max)));

export const flag = () => allows('true or false', z.boolean());

export const oneOf = <const W extends readonly string[]>(words: W, allowed = listOf(words, 'or')) =>
  allows(allowed, z.enum(words));

export const matching = (allowed: string, pattern: RegExp) => allows(allowed, z.string().check(z.regex(pattern)));

/** A file or directory, as the process sees it; a relative path starts at its working directory. */
export const filePath = (allowed = "a file's path") => matching(allowed, /^[^\x00]{1,4096}$/);

export function list<S extends z.ZodMiniType>(item: S, allowed: string, min: 0 | 1 = 0) {
  const least = z.minLength(min);
  // Without this, zod compares the key `length` of a mapping in place of the list, and throws: see
  // test/testdata/config/bad/secrets-mapping.yaml.
  least._zod.def.when = ({ value }) => Array.isArray(value);
  return allows(allowed, z.array(item).check(least));
}

/** A mapping of known keys; each other key is an error. */
export const section = <S extends z.core.$ZodShape>(shape: S) => allows('a mapping', z.strictObject(shape));

type Bounds<A> = readonly [min: string, max: string, also?: A];

/** `also` is one more value, outside the bounds. */
function quantity<A extends 0 | 'auto'>(kind: Quantity, bare: z.ZodMiniType<number>, [min, max, also]: Bounds<A>) {
  const least = kind.parse(min) ?? Number(min);
  const most = kind.parse(max) ?? Number(max);
  const extra = also === undefined ? '' : `${JSON.stringify(also)} or `;
  const read = (written: string | number): number | A | null => {
    const value = kind.parse(written);
    if (written === also || value === also) return also ?? null;
    return value !== null && value >= least && value <= most ? value : null;
  };
  const words = also === undefined ? [] : [z.literal(String(also))];
  const input = z.union([...words, bare, z.string().check(z.regex(kind.pattern))]);
  const allowed = `${extra}${kind.name} from ${min} to ${max}, such as ${kind.examples}`;
  return allows(allowed, converted(input, read), kind.format);
}

/** Milliseconds. `also` allows 0, whatever the minimum. */
export const duration = (...bounds: Bounds<0>) => quantity(DURATION, z.literal(0), bounds);

/** Bytes. `also` allows the word `auto`. */
export const size = <A extends 'auto' = never>(...bounds: Bounds<A>) => quantity(SIZE, z.int(), bounds);

/** Epoch milliseconds. */
export const date = () =>
  allows(
    'a date and time with its zone, such as 2026-11-01T00:00:00Z',
    converted(z.iso.datetime({ offset: true }), Date.parse),
    isoDate,
  );

// --- hosts, networks and URLs

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

/** True for an address or name to listen on, without brackets. */
export const isHost = (text: string): boolean => isIP(text) !== 0 || HOST_NAME.test(text);

/** Characters that no address may hold. */
const BAD = /[\s\x00-\x1f\x7f\\?#]/;
/** The longest path of a Unix socket on Linux, in bytes: sockaddr_un has 108, one of them for the final NUL. */
const MAX_SOCKET_PATH = 107;

/** The normal form of `http://host:port`, `https://host:port` (without a default port) or `unix:///path`; else null. */
export function readUpstreamUrl(text: string): string | null {
  if (BAD.test(text)) return null;
  const [, path] = /^unix:\/\/(\/.*[^/])$/.exec(text) ?? [];
  if (path !== undefined) return Buffer.byteLength(path) <= MAX_SOCKET_PATH ? text : null;
  const [, host = '', port = '80'] = /^https?:\/\/(\[[^\]]*\]|[^:[\]/]*)(?::([0-9]{1,5}))?\/?$/.exec(text) ?? [];
  const isSound = host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : isHost(host);
  return isSound && Number(port) > 0 ? (URL.parse(text)?.origin ?? null) : null;
}

/** True for `redis://[user@]host:6379/0` or rediss://, without a password, which comes from a file. */
export function isRedisUrl(text: string): boolean {
  const isPlain = /^rediss?:\/\/(?:[^:@/]*@)?[^@/]+(?:\/[0-9]{0,4})?$/.test(text) && !BAD.test(text);
  return isPlain && Boolean(URL.parse(text)?.hostname);
}

/** True for an absolute path without `.`, `..` or a slash at its end, or for a Redis URL. */
function isDeferredStore(text: string): boolean {
  if (!isDirectory(text)) return isRedisUrl(text);
  return !/[\x00-\x1f\x7f]|\/\.{0,2}(?=\/|$)/.test(text);
}

const text = (allowed: string, isAllowed: (text: string) => boolean) =>
  allows(allowed, z.string().check(z.refine(isAllowed)));

export const host = () => text('an IP address without brackets, or a host name', isHost);

export const hostName = () =>
  text(
    'a host name, not an IP address (TLS does not allow one as server name, RFC 6066 3)',
    (name) => HOST_NAME.test(name) && isIP(name) === 0,
  );

const NETWORK = z.union([z.cidrv4(), z.cidrv6()]);

export const isCidr = (network: string) => NETWORK.safeParse(network).success;

export const cidr = () => text('a network such as 10.0.0.0/8 or fd00::/8', isCidr);

const URL_FORMS = 'http://host:port, https://host:port or unix:///path, without path, query or user';

export const upstreamUrl = () => allows(URL_FORMS, converted(z.string(), readUpstreamUrl));

const REDIS = 'redis://host:6379/0 (rediss:// for TLS), with its password in passwordFile alone';

export const storeUrl = () => text(`memory, or ${REDIS}`, (store) => store === 'memory' || isRedisUrl(store));

export const deferredStore = () => text(`a directory's absolute path, or ${REDIS}`, isDeferredStore);
