// Problems of the configuration as messages: where, what was found, what is allowed, what was probably meant.
// No message repeats text from under `secrets`, except names of known keys: a value may have been pasted there.

export type KeyPath = readonly (string | number)[];

/** One problem or warning, with its place. */
export interface Problem {
  /** A file's path, or `environment`. */
  readonly file: string;
  /** 1-based; null for the environment, which has no lines. */
  readonly line: number | null;
  readonly column: number | null;
  /** `routes[0].path`, or the variable's name. */
  readonly key: string;
  readonly message: string;
}

/** One problem or warning, before its place in the text is known. */
export interface ProblemAt {
  readonly path: KeyPath;
  /** The position of the key or of the value, or an offset in the text. */
  readonly at: 'key' | 'value' | number;
  readonly message: string;
}

export const atKey = (path: KeyPath, message: string): ProblemAt => ({ path, at: 'key', message });
export const atValue = (path: KeyPath, message: string): ProblemAt => ({ path, at: 'value', message });

/** `file:line:column: key: message`, as compilers write it. */
export function formatProblem({ file, line, column, key, message }: Problem): string {
  const place = line === null ? file : `${file}:${line}:${column ?? 1}`;
  return key === '' ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}

/** `routes[0].path`. */
export function formatPath(path: KeyPath): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`));
  return steps.join('').replace(/^\./, '');
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

/** The problems in the order of the text, each once. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const once = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const lineOf = ({ line }: Problem) => line ?? Number.MAX_SAFE_INTEGER;
  return [...once.values()].sort((a, b) => lineOf(a) - lineOf(b) || (a.column ?? 0) - (b.column ?? 0));
}
