// System errors: their codes, texts for the errors of files, and a listener that ignores errors.

/** An error's code, such as `ENOENT`; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code ?? '') : '';
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EEXIST: 'it exists, and is not a directory',
  ENOTDIR: 'a part of its path is not a directory',
  EISDIR: 'it is a directory, not a file',
  ELOOP: 'its links form a loop',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
};

export function fileProblem(error: unknown): string {
  const code = codeOf(error);
  return FILE_PROBLEMS[code] ?? `it cannot be read (${code || 'unknown error'})`;
}

/** A listener that does nothing, such as for an 'error' event, since the 'close' event after it is handled. */
export function ignore(): void {}
