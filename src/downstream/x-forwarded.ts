// The lines that tell the upstream about the client, where `forwardedHeaders` asks for it.
import { lowerCaseName } from '../core/common-header-names.ts';
import { ABOUT_CLIENT, linesOf } from '../core/header-lines.ts';
import type { Exchange } from './client-exchange.ts';

/** Each spelling that servers read alike: CGI makes `_` of every sign but letters and digits. */
const SPELT = new RegExp(`^(?:${ABOUT_CLIENT}|x-forwarded)$`.replaceAll('-', '[^a-z0-9]'));
/** Those that we write: `allowHeaders` must not let the client's own pass beside ours. */
const OURS = /^x[^a-z0-9](?:forwarded[^a-z0-9](?:for|proto|host|port)|real[^a-z0-9]ip)$/;

/** The lines for `forwardedHeaders: overwrite`: they say what we saw, whatever the client sent. */
export function withForwarded({ lines, head, clientConnection }: Exchange, allowHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (const [name, value] of linesOf(lines)) {
    const lower = lowerCaseName(name);
    if (SPELT.test(lower) && (OURS.test(lower) || !allowHeaders.includes(lower))) continue;
    kept.push(name, value);
  }
  const { address, encrypted, stream } = clientConnection;
  kept.push('X-Forwarded-For', address, 'X-Forwarded-Proto', encrypted ? 'https' : 'http');
  kept.push('X-Forwarded-Host', head.host, 'X-Forwarded-Port', `${stream.localPort ?? ''}`, 'X-Real-IP', address);
  return kept;
}
