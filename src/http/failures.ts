// What an upstream's errors mean: whether another try is safe and of use, and which cause they are counted under.
import type { UpstreamFailure } from '../core/record.ts';

/** An error's code; empty where it has none. */
export function codeOf(error: Error | null): string {
  return (error as { code?: unknown } | null)?.code?.toString() ?? '';
}

/** A certificate that does not fit will not fit in a second either; everything else before the first byte may pass. */
export function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|UND_ERR_(?:INVALID_ARG|NOT_SUPPORTED|DESTROYED|CLOSED))/.test(
    codeOf(error),
  );
}

/** The cause of a failure after the first byte was sent. */
export function failureOf(error: Error): UpstreamFailure {
  const code = codeOf(error);
  if (code.endsWith('_TIMEOUT')) return 'timeout';
  if (/^(?:HPE_|UND_ERR_RES_|UND_ERR_HEADERS_OVERFLOW)/.test(code) || error.name === 'HTTPParserError')
    return 'protocol';
  return /^bad (?:response|upgrade)/.test(error.message) ? 'protocol' : 'reset';
}
