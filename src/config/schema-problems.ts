// The data of file and environment, checked against the schema. A default replaces a bad value, so that other problems
// are found too. Rules ask whether a value is sound before they judge it.
import type * as z from 'zod/mini';
import type { Values } from './config.ts';
import { allowedAt, CONFIG_KEYS } from './describe.ts';
import { nearest } from './nearest-word.ts';
import { atKey, atValue, type KeyPath, listOf, type ProblemAt, show } from './problems.ts';
import { configSchema, MAY_BE_EMPTY } from './schema.ts';
import { isMapping, type Mapping } from './yaml.ts';
import { lacksSpace, NO_SPACE } from './yaml-errors.ts';

export type Written = ReturnType<typeof readWritten>;

/** Checks the data by the schema. `problems` has those that the schema sees. */
export function readWritten(data: Mapping) {
  const input = withoutEmpty(data);
  const parsed = configSchema.safeParse(input, { reportInput: true });
  const problems = parsed.success ? [] : parsed.error.issues.flatMap(problemsOf);
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
  const kept = Object.entries(data).filter(([name, value]) => value !== null || !MAY_BE_EMPTY.has(prefix + name));
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

function problemsOf(issue: z.core.$ZodIssue): readonly ProblemAt[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const { allowed = '', advice, keys = [] } = allowedAt(path) ?? {};
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => unknownKey(path, name, keys));
  const { input: found, code } = issue;
  if (found === undefined) return [atValue(path, `missing; required is ${allowed}`)];
  const bound = Array.isArray(found) && code === 'too_big' ? `, ${issue.maximum} at most` : '';
  const hint = typeof found === 'string' ? advice?.(found) : null;
  const quotes = path.includes('secrets') && typeof found === 'number' ? 'a number needs quotes' : null;
  const space = keys.length > 0 && typeof found === 'string' && lacksSpace(found) ? NO_SPACE : null;
  const parts = [`found ${show(found, path)}, allowed is ${allowed}${bound}`, hint, quotes, space];
  return [atValue(path, parts.filter((part) => part != null).join('; '))];
}

/** `name` is not among the `known` keys of the mapping at `above`. */
function unknownKey(above: KeyPath, name: string, known: readonly string[]): ProblemAt {
  const unknown = (hidden: string, advice: string) =>
    atKey([...above, name], `unknown key${hidden}, allowed are ${listOf(known, 'and')}${advice}`);
  const near = nearest(name, known);
  if (near === null && above[0] === 'secrets') {
    const advice = "; the configuration never holds a secret's value, only its file, env or directory";
    return unknown(' (not shown)', advice);
  }
  const places =
    near === null ? CONFIG_KEYS.map(({ path }) => path).filter((path) => path.endsWith(`.${name}`)) : [near];
  if (places.length === 0 || places.length > 3) return unknown('', '');
  const quoted = places.map((place) => `"${place}"`);
  return unknown('', `; did you mean ${listOf(quoted, 'or')}?`);
}
