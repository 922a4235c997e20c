// Settings as text, for the status page and commands: a line for each key that has a value.
import type { KeyPath } from './problems.ts';
import { allowedAt } from './schema-problems.ts';

/**
 * Each key of `data` with its value, as text. A nested key has the name of its mapping before its own: `upstream.url`.
 * `path`: where the schema has these keys; a number is written as that key's kind is: `5s`, `64KiB`, a date, a count.
 */
export function labelled(data: object, path: KeyPath = [], prefix = ''): readonly Labelled[] {
  return Object.entries(data).flatMap(([key, value]: [string, unknown]) => {
    if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return [];
    if (Array.isArray(value)) return [[`${prefix}${key}`, value.join(', ')] as const];
    if (typeof value === 'object') return labelled(value, [...path, key], `${prefix}${key}.`);
    const format = allowedAt([...path, key])?.format ?? String;
    return [[`${prefix}${key}`, typeof value === 'number' ? format(value) : String(value)] as const];
  });
}

type Labelled = readonly [label: string, text: string];

export const OF_ROUTE: KeyPath = ['routes', 0];
