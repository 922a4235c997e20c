// How mistakes in the configuration are told: where, what was found, what is allowed, what was probably meant.
// It must never repeat what stands under `secrets`, but names of keys: a value may have been pasted there.
import type { Problem } from './config.ts';
import type { Salvaged } from './salvage.ts';

export type KeyPath = readonly (string | number)[];

/** One mistake or warning, before its place in the text is known. */
export interface Finding {
  readonly path: KeyPath;
  /** What the position points at: the key itself, or its value. */
  readonly at: 'key' | 'value';
  readonly message: string;
}

/** The configuration cannot be used: everything that is wrong with it, in the order of the text. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  /** The values without mistakes; null where none is known to be without. */
  readonly salvaged: Salvaged | null;

  constructor(problems: readonly Problem[], salvaged: Salvaged | null = null) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
    this.salvaged = salvaged;
  }
}

/** `file:line:column: key: message`, as compilers write it. */
export function formatProblem({ file, line, column, key, message }: Problem): string {
  const place = line === null ? file : `${file}:${line}:${column ?? 1}`;
  return key === '' ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}

/** `routes[0].path`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** A found value in a few words: scalars as written, long ones cut; collections, and all under `secrets`, by kind. */
export function show(value: unknown, path: KeyPath): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (path.includes('secrets')) return `a ${typeof value === 'string' ? 'text' : typeof value} (not shown)`;
  // A URL may hold a password.
  if (typeof value === 'string' && /@|:\/\/.*\?|:\/\/[^/]*:[^/]*:/s.test(value))
    return 'a text (not shown: it may hold a password)';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 56)}..."` : text;
}

/** In the order of the text; each mistake once. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const once = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  return [...once.values()].sort(
    (a, b) =>
      Number(a.line === null) - Number(b.line === null) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0),
  );
}
