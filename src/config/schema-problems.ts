// The schema as a table of keys, for docs, messages and settings as text; the check of what file and environment say.
// A default replaces a bad value, so that other problems are found too; rules first ask whether a value is sound.
import * as z from 'zod/mini';
import { listOf, nearest } from '../base/nearest-word.ts';
import type { Values } from './config.ts';
import { atKey, atValue, formatPath, type KeyPath, type ProblemAt, show } from './problems.ts';
import { configSchema } from './schema.ts';
import { ALLOWED } from './value-kinds.ts';
import { isMapping, lacksSpace, type Mapping, NO_SPACE } from './yaml.ts';

type Schema = z.core.$ZodType;

/** The schema of each key and list item by path: `listen.port`, `routes[]`, `routes[].path`; '' for the whole file. */
export const SCHEMAS = new Map<string, Schema>();

collect(configSchema, '');

function collect(child: Schema, path: string): void {
  SCHEMAS.set(path, child);
  const schema = unwrap(child);
  if (schema instanceof z.ZodMiniArray) collect(schema._zod.def.element, `${path}[]`);
  if (!(schema instanceof z.ZodMiniObject)) return;
  for (const [name, below] of Object.entries(schema.shape)) collect(below, path === '' ? name : `${path}.${name}`);
}

/** Strips default and optional from a key's schema. */
export function unwrap(schema: Schema): Schema {
  if (schema instanceof z.ZodMiniPrefault) return schema._zod.def.innerType;
  const source = schema instanceof z.ZodMiniPipe ? schema._zod.def.in : null;
  return source instanceof z.ZodMiniOptional ? source._zod.def.innerType : schema;
}

/** The allowed values at `path`, in words, and the keys if it is a mapping. Null if the schema has no such path. */
export function allowedAt(path: KeyPath) {
  const child = SCHEMAS.get(formatPath(path).replace(/\[[0-9]+\]/g, '[]'));
  if (child === undefined) return null;
  const schema = unwrap(child);
  const keys = schema instanceof z.ZodMiniObject ? Object.keys(schema.shape) : [];
  return { allowed: '', ...ALLOWED.get(schema), keys };
}

/** True for sections and top-level lists: they may be left empty (`listen:` and nothing below it). A scalar may not. */
export function mayBeEmpty(path: string): boolean {
  const child = SCHEMAS.get(path);
  const schema = child && unwrap(child);
  return schema instanceof z.ZodMiniObject || (schema instanceof z.ZodMiniArray && !/[.[]/.test(path));
}

/**
 * Each key of `data` with its value, as text. A nested key has the name of its mapping before its own: `upstream.url`.
 * `path`: where the schema has these keys; a number is written as that key's kind is: `5s`, `64KiB`, a date, a count.
 */
export function labelled(
  data: object,
  path: KeyPath = [],
  prefix = '',
): readonly (readonly [label: string, text: string])[] {
  return Object.entries(data).flatMap(([key, value]: [string, unknown]) => {
    if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return [];
    if (Array.isArray(value)) return [[`${prefix}${key}`, value.join(', ')] as const];
    if (typeof value === 'object') return labelled(value, [...path, key], `${prefix}${key}.`);
    const format = allowedAt([...path, key])?.format ?? String;
    return [[`${prefix}${key}`, typeof value === 'number' ? format(value) : String(value)] as const];
  });
}

export const OF_ROUTE: KeyPath = ['routes', 0];

export type Written = ReturnType<typeof readWritten>;

/** Checks the data against the schema. `problems` has only those that the schema sees. */
export function readWritten(data: Mapping) {
  const input = withoutEmpty(data);
  const parsed = configSchema.safeParse(input, { reportInput: true });
  const problems = parsed.success ? [] : parsed.error.issues.flatMap(issueProblems);
  const values: Values = parsed.success ? parsed.data : configSchema.parse(withoutBad(input, problems));
  const isSound = soundness(problems);
  const entries = <T>(name: 'secrets' | 'routes', list: readonly T[]) =>
    list.map((value, index) => {
      const path: KeyPath = [name, index];
      const source: unknown = Array.isArray(input[name]) ? input[name][index] : null;
      /** True if the user wrote the key, whatever its value. */
      const has = (key: keyof T & string) => isMapping(source) && Object.hasOwn(source, key);
      return { path, value, has, sound: (key: keyof T & string) => isSound([...path, key]) };
    });
  const { secrets, routes } = values;
  return { values, problems, isSound, secrets: entries('secrets', secrets), routes: entries('routes', routes) };
}

/** Returns a test of paths: true if no problem is at the path, above it or below it. */
export function soundness(problems: readonly Pick<ProblemAt, 'path'>[]): (path: KeyPath) => boolean {
  const prefixes = (path: KeyPath) => path.map((_, depth) => JSON.stringify(path.slice(0, depth + 1)));
  const bad = new Set(problems.map(({ path }) => JSON.stringify(path)));
  const around = new Set(problems.flatMap(({ path }) => prefixes(path)));
  return (path) => !around.has(JSON.stringify(path)) && !prefixes(path).some((prefix) => bad.has(prefix));
}

/** Drops empty sections: `listen:` with everything below it commented out. */
function withoutEmpty(data: Mapping, prefix = ''): Mapping {
  const kept = Object.entries(data).filter(([name, value]) => value !== null || !mayBeEmpty(prefix + name));
  return Object.fromEntries(
    kept.map(([name, value]) => [name, isMapping(value) && prefix === '' ? withoutEmpty(value, `${name}.`) : value]),
  );
}

/** Drops each key of a section or entry that has a bad value anywhere below it. */
function withoutBad(input: Mapping, problems: readonly ProblemAt[]): Mapping {
  const bad = new Set(problems.map(({ path }) => JSON.stringify(path.slice(0, typeof path[1] === 'number' ? 3 : 2))));
  const good = (value: unknown, above: KeyPath): Mapping => {
    const entries = Object.entries(isMapping(value) ? value : {});
    return Object.fromEntries(entries.filter(([key]) => !bad.has(JSON.stringify([...above, key]))));
  };
  const sections = Object.entries(good(input, [])).map(([name, value]) => {
    // A placeholder replaces a bad path, so that the rest of the route can be checked.
    const needed = name === 'routes' ? { path: '/' } : {};
    if (!Array.isArray(value)) return [name, isMapping(value) ? good(value, [name]) : value];
    return [name, value.map((entry, index) => ({ ...needed, ...good(entry, [name, index]) }))];
  });
  return Object.fromEntries(sections);
}

function issueProblems(issue: z.core.$ZodIssue): readonly ProblemAt[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const { allowed = '', keys = [] } = allowedAt(path) ?? {};
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => unknownKey(path, name, keys));
  const { input: value } = issue;
  if (value === undefined) return [atValue(path, `missing; required is ${allowed}`)];
  const words = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const near = typeof value === 'string' ? nearest(value, words) : null;
  const quotes = path.includes('secrets') && typeof value === 'number' ? 'a number needs quotes' : null;
  const space = keys.length > 0 && typeof value === 'string' && lacksSpace(value) ? NO_SPACE : null;
  const parts = [`found ${show(value, path)}, allowed is ${allowed}`, near && `did you mean "${near}"?`, quotes, space];
  return [atValue(path, parts.filter((part) => part != null).join('; '))];
}

/** The problem of `name`, which is not among the `allowed` keys of the mapping at `above`. */
function unknownKey(above: KeyPath, name: string, allowed: readonly string[]): ProblemAt {
  const near = nearest(name, allowed);
  const isHidden = near === null && above[0] === 'secrets';
  const elsewhere = [...SCHEMAS.keys()].filter((path) => path.endsWith(`.${name}`)).map((path) => `"${path}"`);
  const places = near === null ? elsewhere : [`"${near}"`];
  const meant = places.length > 0 && places.length <= 3 ? `; did you mean ${listOf(places, 'or')}?` : '';
  const advice = isHidden ? "; the configuration never holds a secret's value, only its file, env or directory" : meant;
  const problem = `unknown key${isHidden ? ' (not shown)' : ''}`;
  return atKey([...above, name], `${problem}, allowed are ${listOf(allowed, 'and')}${advice}`);
}
