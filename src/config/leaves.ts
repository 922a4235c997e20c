// The kinds of value a key can have, as zod schemas. Each says in one phrase what is allowed: the same phrase stands in
// errors, in the JSON Schema and in the docs. A phrase must never repeat what was found.
import * as z from 'zod/mini';
import { listOf, nearest } from './suggest.ts';

/** What a schema allows, in one phrase, for errors and docs. */
export const ALLOWED = z.registry<{ allowed: string }>();

/** A schema with its meaning, one or two sentences for editors and docs. */
export function key<S extends z.ZodMiniType>(description: string, schema: S): S {
  z.globalRegistry.add(schema, { description });
  return schema;
}

const meant = (suggestion: string | null) => (suggestion === null ? '' : `; did you mean ${suggestion}?`);
export const quoted = (suggestion: string | null) => (suggestion === null ? null : `"${suggestion}"`);

export type Suggest = (input: unknown) => string | null;

/** zod's `error` parameter: the phrase, and the right spelling where the input is near one. */
export function phrase(allowed: string, suggest: Suggest = () => null) {
  return { error: ({ input }: { input?: unknown }) => `${allowed}${input === undefined ? '' : meant(suggest(input))}` };
}

export interface Spelling<I, T> {
  readonly allowed: string;
  /** The value, or null where the spelling is not one of the allowed. */
  readonly parse: (input: I) => T | null;
  readonly suggest?: Suggest;
  /** What is wrong with this very input, beside what is allowed. */
  readonly problem?: (input: I) => string;
}

/** Text (or a number) that is read into a value; `input` is what the JSON Schema shows. */
export function spelled<I, T>(input: z.ZodMiniType<I, unknown>, { allowed, parse, suggest, problem }: Spelling<I, T>) {
  const reader = z.transform((found: I, context): T => {
    const value = parse(found);
    if (value !== null) return value;
    const message = `${allowed}${problem === undefined ? meant(suggest?.(found) ?? null) : `; ${problem(found)}`}`;
    context.issues.push({ code: 'custom', message, input: found });
    return z.NEVER;
  });
  return z.pipe(input as z.ZodMiniType<I, I>, reader).register(ALLOWED, { allowed });
}

export const text = (allowed: string, suggest?: Suggest) => z.string(phrase(allowed, suggest));

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

/** Of any list; more would make the rules that compare pairs slow. */
export const MAX_ITEMS = 1000;

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
