// The kinds of value that a key can have, as zod schemas. One phrase says what is allowed, in errors and docs alike.
// No phrase repeats the value that was found: it may hold a password.
import { isIPv4 } from 'node:net';
import * as z from 'zod/mini';
import { nearest } from './nearest-word.ts';
import { listOf } from './problems.ts';
import { DURATION, parseDate, type Quantity, SIZE } from './units.ts';
import {
  HOST_NAME,
  isCidr,
  isHost,
  type Reading,
  readDeferredStore,
  readStore,
  readUpstreamUrl,
} from './url-values.ts';

/** More about a wrong text, such as the word that was probably meant; null if nothing is obvious. */
type Advice = (found: string) => string | null;

/** For each schema, a phrase that says what is allowed. A schema without `advice` is safe under `secrets`. */
export const ALLOWED = z.registry<{ readonly allowed: string; readonly advice?: Advice }>();

/** A schema with its meaning, one or two sentences for editors and docs. */
export function key<S extends z.ZodMiniType>(description: string, schema: S): S {
  z.globalRegistry.add(schema, { description });
  return schema;
}

/** A key that may be left out, and is then null. */
export function optional<S extends z.ZodMiniType>(description: string, schema: S) {
  const orNull = z.transform((value: z.output<S> | undefined) => value ?? null);
  return key(description, z.pipe(z.optional(schema), orNull));
}

/** Converts a value; the JSON Schema shows `input`. `read` returns null for a value that is not allowed. */
function converted<I, T>(input: z.ZodMiniType<I, unknown>, read: (found: I) => T | null) {
  const reader = z.transform((found: I, context): T => {
    const value = read(found);
    if (value !== null) return value;
    context.issues.push({ code: 'custom', input: found });
    return z.NEVER;
  });
  return z.pipe(input as z.ZodMiniType<I, I>, reader);
}

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`;
  return z.int().check(z.gte(min), z.lte(max)).register(ALLOWED, { allowed });
}

export function flag() {
  return z.boolean().register(ALLOWED, { allowed: 'true or false' });
}

export function oneOf<const W extends readonly string[]>(words: W, allowed = listOf(words, 'or')) {
  const advice: Advice = (found) => {
    const near = nearest(found, words);
    return near === null ? null : `did you mean "${near}"?`;
  };
  return z.enum(words).register(ALLOWED, { allowed, advice });
}

/** Text that matches a pattern, which `allowed` describes. */
export function matching(allowed: string, pattern: RegExp) {
  return z.string().check(z.regex(pattern)).register(ALLOWED, { allowed });
}

/** A file or directory, as the process sees it; a relative path starts at its working directory. */
export function filePath(allowed = "a file's path") {
  return matching(allowed, /^[^\x00]{1,4096}$/);
}

/** The bound keeps the rules that compare pairs fast. */
const MAX_ITEMS = 1000;

export function list<S extends z.ZodMiniType>(item: S, allowed: string, min: 0 | 1 = 0) {
  const bounds = [z.minLength(min), z.maxLength(MAX_ITEMS)];
  // Else zod compares the key `length` of a mapping that stands in place of the list, and throws.
  for (const { _zod } of bounds) _zod.def.when = ({ value }) => Array.isArray(value);
  return z
    .array(item)
    .check(...bounds)
    .register(ALLOWED, { allowed });
}

/** A mapping of known keys; each other key is an error. */
export function section<S extends z.core.$ZodShape>(shape: S) {
  return z.strictObject(shape).register(ALLOWED, { allowed: 'a mapping' });
}

type Bounds<A> = readonly [min: string, max: string, also?: A];

/** `also` is one more value, outside the bounds. */
function quantity<A extends 0 | 'auto'>(kind: Quantity, bare: z.ZodMiniType<number>, [min, max, also]: Bounds<A>) {
  const least = kind.parse(min) ?? Number(min);
  const most = kind.parse(max) ?? Number(max);
  const extra = also === undefined ? '' : `${JSON.stringify(also)} or `;
  const allowed = `${extra}${kind.name} from ${min} to ${max}, such as ${kind.examples}`;
  const read = (found: string | number): number | A | null => {
    const value = kind.parse(found);
    if (found === also || value === also) return also ?? null;
    return value !== null && value >= least && value <= most ? value : null;
  };
  const words = also === 'auto' ? [z.literal('auto')] : [];
  const input = z.union([...words, bare, z.string().check(z.regex(kind.pattern))]);
  return converted(input, read).register(ALLOWED, { allowed });
}

/** Milliseconds. `also` allows 0, whatever the minimum. */
export function duration(...bounds: Bounds<0>) {
  return quantity(DURATION, z.literal(0), bounds);
}

/** Bytes. `also` allows that word. */
export function size<A extends 'auto' = never>(...bounds: Bounds<A>) {
  return quantity(SIZE, z.int(), bounds);
}

/** Epoch milliseconds. */
export function date() {
  const allowed = 'a date and time with its zone, such as 2026-11-01T00:00:00Z';
  return converted(z.string(), parseDate).register(ALLOWED, { allowed });
}

export function host() {
  const allowed = 'an IP address without brackets, or a host name';
  return z.string().check(z.refine(isHost)).register(ALLOWED, { allowed });
}

export function hostName() {
  const allowed = 'a host name, not an IP address (TLS does not allow one as server name, RFC 6066 3)';
  const isAllowed = (text: string) => HOST_NAME.test(text) && !isIPv4(text);
  return z.string().check(z.refine(isAllowed)).register(ALLOWED, { allowed });
}

export function cidr() {
  const allowed = 'a network such as 10.0.0.0/8 or fd00::/8';
  return z.string().check(z.refine(isCidr)).register(ALLOWED, { allowed });
}

function url(allowed: string, read: (text: string) => Reading) {
  const advice: Advice = (found) => read(found).problem ?? null;
  return converted(z.string(), (text) => read(text).value ?? null).register(ALLOWED, { allowed, advice });
}

export function upstreamUrl() {
  return url('http://host:port, https://host:port or unix:///path, without path, query or user', readUpstreamUrl);
}

export function storeUrl() {
  return url('memory, or redis://host:6379/0 (rediss:// for TLS) without a password', readStore);
}

export function deferredStore() {
  const allowed = "a directory's absolute path, or redis://host:6379/0 (rediss:// for TLS) without a password";
  return url(allowed, readDeferredStore);
}
