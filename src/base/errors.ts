// The codes of system errors, and a listener that ignores errors.

/** An error's code, such as `ENOENT`; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code ?? '') : '';
}

/** A listener that does nothing, such as for an 'error' event, since the 'close' event after it is handled. */
export function ignore(): void {}
