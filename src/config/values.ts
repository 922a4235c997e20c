// The kinds of value that a key can have, as zod schemas. One phrase says what is allowed, in errors and docs alike.
// No phrase repeats the value that was found: it may hold a password.
import { isIPv4 } from 'node:net';
import * as z from 'zod/mini';
import { HOST_NAME, isCidr, isHost, type Reading, readStore, readUpstreamUrl, suggestCidr } from './addresses.ts';
import { listOf, nearest } from './problems.ts';
import { DURATION, guessDate, parseDate, type Quantity, SIZE } from './units.ts';

/** For each schema the phrase that says what is allowed. */
export const ALLOWED = z.registry<{ allowed: string }>();

/** A schema with its meaning, one or two sentences for editors and docs. */
export function key<S extends z.ZodMiniType>(description: string, schema: S): S {
  z.globalRegistry.add(schema, { description });
  return schema;
}

/** A key that may be left out. It is null then. */
export function optional<S extends z.ZodMiniType>(schema: S) {
  return z.pipe(
    z.optional(schema),
    z.transform((value: z.output<S> | undefined) => value ?? null),
  );
}

/** Gives the right spelling of a wrong value; null where none is obvious. */
type Suggest = (input: string | number) => string | null;

const quoted = (suggestion: string | null) => (suggestion === null ? null : `"${suggestion}"`);

/** zod's `error` parameter: the phrase, and the right spelling where the input is near one. */
function phrase(allowed: string, suggest: Suggest = () => null) {
  const error = ({ input }: { input?: unknown }) => {
    const suggestion = typeof input === 'string' || typeof input === 'number' ? suggest(input) : null;
    return suggestion === null ? allowed : `${allowed}; did you mean ${suggestion}?`;
  };
  return { error };
}

/** Converts a value; the JSON Schema shows `input`. `read` gives null for a value that is not allowed. */
function converted<I, T>(
  input: z.ZodMiniType<I, unknown>,
  { allowed, read, error }: { allowed: string; read: (found: I) => T | null; error: (issue: { input: I }) => string },
) {
  const reader = z.transform((found: I, context): T => {
    const value = read(found);
    if (value !== null) return value;
    context.issues.push({ code: 'custom', message: error({ input: found }), input: found });
    return z.NEVER;
  });
  return z.pipe(input as z.ZodMiniType<I, I>, reader).register(ALLOWED, { allowed });
}

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`;
  const error = phrase(allowed, (input) => {
    const plain = /^[0-9]{1,9}$/.test(String(input)) ? Number(input) : -1;
    return plain >= min && plain <= max ? `${plain}, without quotes or leading zeros` : null;
  });
  return z.int(error).check(z.gte(min, error), z.lte(max, error)).register(ALLOWED, { allowed });
}

export function flag() {
  const allowed = 'true or false';
  const error = phrase(allowed, (input) => {
    if (/^(?:true|yes|on|y)$/i.test(String(input))) return 'true';
    return /^(?:false|no|off|n)$/i.test(String(input)) ? 'false' : null;
  });
  return z.boolean(error).register(ALLOWED, { allowed });
}

export function oneOf<const W extends readonly string[]>(words: W, allowed = listOf(words, 'or')) {
  return z
    .enum(
      words,
      phrase(allowed, (input) => quoted(nearest(String(input), words))),
    )
    .register(ALLOWED, { allowed });
}

/** Text that matches a pattern, which `allowed` describes. Errors suggest nothing, so it is safe under `secrets`. */
export function matching(allowed: string, pattern: RegExp) {
  const error = phrase(allowed);
  return z.string(error).check(z.regex(pattern, error)).register(ALLOWED, { allowed });
}

/** A file or directory, as the process sees it; a relative path starts at its working directory. */
export function filePath(allowed = "a file's path") {
  return matching(allowed, /^[^\x00]{1,4096}$/);
}

/** The bound keeps the rules that compare pairs fast. */
const MAX_ITEMS = 1000;

export function list<S extends z.ZodMiniType>(item: S, allowed: string, min: 0 | 1 = 0) {
  const error = phrase(allowed);
  return z
    .array(item, error)
    .check(z.minLength(min, error), z.maxLength(MAX_ITEMS, `${allowed}, ${MAX_ITEMS} at most`))
    .register(ALLOWED, { allowed });
}

/** A mapping of known keys; each other key is an error. */
export function section<S extends z.core.$ZodShape>(shape: S) {
  return z.strictObject(shape, 'a mapping').register(ALLOWED, { allowed: 'a mapping' });
}

interface Bounds<A> {
  readonly min: string;
  readonly max: string;
  /** One more value, outside the bounds. */
  readonly also?: A;
}

function quantity<A extends 0 | 'auto'>(kind: Quantity, bare: z.ZodMiniType<number>, { min, max, also }: Bounds<A>) {
  const least = kind.parse(min) ?? Number(min);
  const most = kind.parse(max) ?? Number(max);
  const extra = also === undefined ? '' : `${JSON.stringify(also)} or `;
  const allowed = `${extra}${kind.name} from ${min} to ${max}, such as ${kind.examples}`;
  const inRange = (value: number | null): number | null => {
    return value !== null && (value === also || (value >= least && value <= most)) ? value : null;
  };
  const error = phrase(allowed, (input) => {
    const meant = inRange(kind.guess(input));
    return meant === null ? null : kind.format(meant);
  });
  const words = also === 'auto' ? [z.literal('auto')] : [];
  const input = z.union([...words, bare, z.string().check(z.regex(kind.pattern, error))], error);
  return converted<string | number, number | A>(input, {
    allowed,
    read: (found) => (found === also ? also : inRange(kind.parse(found))),
    ...error,
  });
}

/** Milliseconds. `also: 0` allows 0, whatever the minimum. */
export function duration(bounds: Bounds<0>) {
  return quantity(DURATION, z.literal(0), bounds);
}

/** Bytes. `also: 'auto'` allows that word. */
export function size<A extends 'auto' = never>(bounds: Bounds<A>) {
  return quantity(SIZE, z.int(), bounds);
}

/** Epoch milliseconds. */
export function date() {
  const allowed = 'a date and time with its zone, such as 2026-11-01T00:00:00Z';
  const error = phrase(allowed, guessDate);
  return converted(z.string(error), { allowed, read: parseDate, ...error });
}

function checked(allowed: string, isAllowed: (text: string) => boolean, suggest?: Suggest) {
  const error = phrase(allowed, suggest);
  return z.string(error).check(z.refine(isAllowed, error)).register(ALLOWED, { allowed });
}

export function host() {
  return checked('an IP address without brackets, or a host name', isHost, (input) => {
    const bare = /^\[(.*)\]$/.exec(String(input))?.[1];
    return bare !== undefined && isHost(bare) ? quoted(bare) : null;
  });
}

export function hostName() {
  const allowed = 'a host name, no IP address (TLS has no server name for one, RFC 6066 3)';
  return checked(allowed, (text) => HOST_NAME.test(text) && !isIPv4(text));
}

export function cidr() {
  return checked('a network such as 10.0.0.0/8 or fd00::/8', isCidr, (input) => quoted(suggestCidr(String(input))));
}

function url(allowed: string, read: (text: string) => Reading) {
  return converted(z.string(phrase(allowed)), {
    allowed,
    read: (text) => read(text).value ?? null,
    error: ({ input }) => `${allowed}; ${read(input).problem}`,
  });
}

export function upstreamUrl() {
  return url('http://host:port, https://host:port or unix:///path, without path, query or user', readUpstreamUrl);
}

export function storeUrl() {
  return url('memory, or redis://host:6379/0 (rediss:// for TLS) without a password', readStore);
}
