// The kinds of value a key can have, as zod schemas. Each says in one phrase what is allowed: the same phrase stands in
// errors, in the JSON Schema and in the docs. A phrase must never repeat what was found.
import * as z from 'zod/mini';
import { isCidr, isHost, isHostName, type Reading, readStore, readUpstreamUrl, suggestCidr } from './addresses.ts';
import { listOf, nearest } from './suggest.ts';
import {
  DURATION,
  formatDuration,
  formatSize,
  parseDate,
  parseDuration,
  parseSize,
  SIZE,
  suggestDate,
  suggestDuration,
  suggestSize,
} from './units.ts';

/** What a schema allows, in one phrase, for errors and docs. */
export const ALLOWED = z.registry<{ allowed: string }>();

/** A schema with its meaning, one or two sentences for editors and docs. */
export function key<S extends z.ZodMiniType>(description: string, schema: S): S {
  z.globalRegistry.add(schema, { description });
  return schema;
}

const meant = (suggestion: string | null) => (suggestion === null ? '' : `; did you mean ${suggestion}?`);
const quoted = (suggestion: string | null) => (suggestion === null ? null : `"${suggestion}"`);

type Suggest = (input: unknown) => string | null;

/** zod's `error` parameter: the phrase, and the right spelling where the input is near one. */
function phrase(allowed: string, suggest: Suggest = () => null) {
  return { error: ({ input }: { input?: unknown }) => `${allowed}${input === undefined ? '' : meant(suggest(input))}` };
}

interface Spelling<I, T> {
  readonly allowed: string;
  /** The value, or null where the spelling is not one of the allowed. */
  readonly parse: (input: I) => T | null;
  readonly suggest?: Suggest;
  /** What is wrong with this very input, beside what is allowed. */
  readonly problem?: (input: I) => string;
}

/** Text (or a number) that is read into a value; `input` is what the JSON Schema shows. */
function spelled<I, T>(input: z.ZodMiniType<I, unknown>, { allowed, parse, suggest, problem }: Spelling<I, T>) {
  const reader = z.transform((found: I, context): T => {
    const value = parse(found);
    if (value !== null) return value;
    const message = `${allowed}${problem === undefined ? meant(suggest?.(found) ?? null) : `; ${problem(found)}`}`;
    context.issues.push({ code: 'custom', message, input: found });
    return z.NEVER;
  });
  return z.pipe(input as z.ZodMiniType<I, I>, reader).register(ALLOWED, { allowed });
}

const text = (allowed: string, suggest?: Suggest) => z.string(phrase(allowed, suggest));

/** Milliseconds. `off: true` also takes 0, whatever the least. */
export function duration({ min, max, off = false }: { min: string; max: string; off?: boolean }) {
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
  const zero = off ? '0 or ' : '';
  const allowed = `${zero}a duration from ${min} to ${max}, such as 250ms, 5s, 2m or 24h`;
  const suggest = (input: unknown) => {
    const spelling = suggestDuration(input);
    const value = spelling === null ? null : parseDuration(spelling);
    return value === null || value < least || value > most ? null : formatDuration(value);
  };
  const spellings = [z.literal(0), z.string().check(z.regex(DURATION, phrase(allowed, suggest)))] as const;
  return spelled<string | number, number>(z.union(spellings, phrase(allowed, suggest)), {
    allowed,
    parse: (input) => {
      const value = parseDuration(input);
      return value !== null && ((off && value === 0) || (value >= least && value <= most)) ? value : null;
    },
  });
}

function sizeSpelling({ min, max, also = '' }: { min: string; max: string; also?: string }) {
  const read = (bound: string) => parseSize(bound) ?? Number(bound);
  const [least, most] = [read(min), read(max)];
  const allowed = `${also}a size from ${min} to ${max}, such as 512, 64KiB or 1MiB`;
  const inRange = (value: number | null) => (value === null || value < least || value > most ? null : value);
  const suggest = (input: unknown) => {
    const spelling = suggestSize(input);
    if (spelling === null) return null;
    const value = inRange(parseSize(/^[0-9]+$/.test(spelling) ? Number(spelling) : spelling));
    return value === null ? null : formatSize(value);
  };
  return { allowed, suggest, parse: (input: string | number) => inRange(parseSize(input)) };
}

const sizeText = ({ allowed, suggest }: { allowed: string; suggest: Suggest }) =>
  z.string().check(z.regex(SIZE, phrase(allowed, suggest)));

/** Bytes. */
export function size(bounds: { min: string; max: string }) {
  const spelling = sizeSpelling(bounds);
  const spellings = [z.int(), sizeText(spelling)] as const;
  return spelled<string | number, number>(z.union(spellings, phrase(spelling.allowed, spelling.suggest)), {
    allowed: spelling.allowed,
    parse: spelling.parse,
  });
}

/** Bytes, or `auto`. */
export function sizeOrAuto(bounds: { min: string; max: string }) {
  const spelling = sizeSpelling({ ...bounds, also: '"auto" or ' });
  const spellings = [z.literal('auto'), z.int(), sizeText(spelling)] as const;
  return spelled<string | number, number | 'auto'>(z.union(spellings, phrase(spelling.allowed, spelling.suggest)), {
    allowed: spelling.allowed,
    parse: (input) => (input === 'auto' ? input : spelling.parse(input)),
  });
}

/** Epoch milliseconds. */
export function date() {
  const allowed = 'a date and time with its zone, such as 2026-11-01T00:00:00Z';
  return spelled(text(allowed, suggestDate), { allowed, parse: parseDate, suggest: suggestDate });
}

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`;
  const error = phrase(allowed, (input) => {
    const plain = typeof input === 'string' && /^[0-9]{1,9}$/.test(input) ? Number(input) : -1;
    return plain >= min && plain <= max ? `${plain}, without quotes or leading zeros` : null;
  });
  return z.int(error).check(z.gte(min, error), z.lte(max, error)).register(ALLOWED, { allowed });
}

export function flag() {
  const allowed = 'true or false';
  const yes = /^(?:true|yes|on|y)$/i;
  const no = /^(?:false|no|off|n)$/i;
  const suggest = (input: unknown) => (yes.test(String(input)) ? 'true' : no.test(String(input)) ? 'false' : null);
  return z
    .boolean(phrase(allowed, (input) => (typeof input === 'string' ? suggest(input) : null)))
    .register(ALLOWED, { allowed });
}

export function oneOf<const W extends readonly string[]>(words: W, allowed = listOf(words, 'or')) {
  const suggest = (input: unknown) => (typeof input === 'string' ? quoted(nearest(input, words)) : null);
  return z.enum(words, phrase(allowed, suggest)).register(ALLOWED, { allowed });
}

/** Text that a pattern admits; `allowed` names it. Nothing is suggested, so it is safe for what stands under `secrets`. */
export function matching(allowed: string, pattern: RegExp) {
  const error = phrase(allowed);
  return z.string(error).check(z.regex(pattern, error)).register(ALLOWED, { allowed });
}

/** A file or directory, as the process sees it; a relative one counts from its working directory. */
export function filePath(allowed = "a file's path") {
  return matching(allowed, /^[^\x00]{1,4096}$/);
}

export function host() {
  const allowed = 'an IP address without brackets, or a host name';
  const suggest = (input: unknown) => {
    const bare = /^\[(.*)\]$/.exec(String(input))?.[1];
    return bare !== undefined && isHost(bare) ? quoted(bare) : null;
  };
  return spelled(text(allowed), { allowed, parse: (input) => (isHost(input) ? input : null), suggest });
}

export function hostName() {
  const allowed = 'a host name';
  return spelled(text(allowed), { allowed, parse: (input) => (isHostName(input) ? input : null) });
}

export function cidr() {
  const allowed = 'a network such as 10.0.0.0/8 or fd00::/8';
  const suggest = (input: unknown) => quoted(suggestCidr(input));
  return spelled(text(allowed), { allowed, parse: (input) => (isCidr(input) ? input : null), suggest });
}

function url(allowed: string, read: (input: string) => Reading) {
  return spelled(text(allowed), {
    allowed,
    parse: (input) => {
      const reading = read(input);
      return 'value' in reading ? reading.value : null;
    },
    problem: (input) => {
      const reading = read(input);
      return 'problem' in reading ? reading.problem : '';
    },
  });
}

export function upstreamUrl() {
  return url('http://host:port, https://host:port or unix:///path, without path, query or user', readUpstreamUrl);
}

export function storeUrl() {
  return url('memory, or redis://host:6379/0 (rediss:// for TLS) without a password', readStore);
}

/** Of any list; more would make the rules that compare pairs slow. */
export const MAX_ITEMS = 500;

export function list<S extends z.ZodMiniType>(item: S, { allowed, min }: { allowed: string; min: 0 | 1 }) {
  const error = phrase(allowed);
  return z
    .array(item, error)
    .check(z.minLength(min, error), z.maxLength(MAX_ITEMS, error))
    .register(ALLOWED, { allowed });
}

/** A mapping of known keys; each other key is an error. */
export function section<S extends z.core.$ZodShape>(shape: S) {
  return z.strictObject(shape, phrase('a mapping')).register(ALLOWED, { allowed: 'a mapping' });
}
