// Mistakes in words: what was found, what is allowed, what was probably meant.
// It must never repeat what stands under `secrets`, not even an unknown key: a value may have been pasted there.
import type * as z from 'zod/mini';
import { describeKeys, keysAt } from './describe.ts';
import { type Finding, type KeyPath, show } from './problems.ts';
import { listOf, nearest } from './suggest.ts';
import { isMapping } from './yaml.ts';

/** The value at `path` is not one of the allowed. */
export function wrongValue(path: KeyPath, { found, allowed }: { found: unknown; allowed: string }): Finding {
  if (found === undefined) return { path, at: 'value', message: `missing; needed is ${allowed}` };
  const quotes = path.includes('secrets') && typeof found === 'number' ? '; a number needs quotes' : '';
  return { path, at: 'value', message: `found ${show(found, path)}, allowed is ${allowed}${quotes}` };
}

/** The key at the end of `path` is not known there. */
export function unknownKey(path: KeyPath): Finding {
  const above = path.slice(0, -1);
  const name = String(path.at(-1));
  const known = keysAt(above);
  const allowed = `allowed are ${listOf(known, 'and')}`;
  const near = nearest(name, known);
  const message =
    near !== null
      ? `unknown key, ${allowed}; did you mean "${near}"?`
      : above[0] === 'secrets'
        ? `unknown key (not shown), ${allowed}; a secret's value never stands in the configuration, only its file, env or directory`
        : `unknown key, ${allowed}${elsewhere(name)}`;
  return { path, at: 'key', message };
}

/** Where a key that is unknown here has its place. */
function elsewhere(name: string): string {
  const places = describeKeys().filter(({ path }) => path.endsWith(`.${name}`));
  if (places.length === 0 || places.length > 3) return '';
  return `; did you mean ${listOf(
    places.map(({ path }) => `"${path}"`),
    'or',
  )}?`;
}

/** zod's issues as findings; their messages are the phrases of leaves.ts. */
export function issueFindings(
  issues: readonly z.core.$ZodIssue[],
  { input, path }: { readonly input: unknown; readonly path: KeyPath },
): readonly Finding[] {
  return issues.flatMap((issue) => {
    const steps = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    const full = [...path, ...steps];
    if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => unknownKey([...full, name]));
    return [wrongValue(full, { found: valueAt(input, steps), allowed: issue.message })];
  });
}

function valueAt(input: unknown, steps: KeyPath): unknown {
  let value = input;
  for (const step of steps) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else value = isMapping(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  }
  return value;
}
