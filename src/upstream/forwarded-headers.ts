// The header lines about the client, such as X-Forwarded-For, as `forwardedHeaders: overwrite` asks for them.
import { pairsOf } from '../core/header-lines.ts';
import { ABOUT_CLIENT, lowerCaseName } from '../core/header-names.ts';
import type { Exchange } from '../downstream/client-exchange.ts';

type Received = Pick<Exchange, 'lines' | 'head' | 'clientConnection'>;

/** Matches names that a server may read as headers about the client: CGI turns all but letters and digits into `_`. */
const SPELT = new RegExp(`^(?:${ABOUT_CLIENT}|x-forwarded)$`.replaceAll('-', '[^a-z0-9]'));
/** The names of the lines that we write: `allowHeaders` must not let the client's own lines pass beside ours. */
const OURS = /^x[^a-z0-9](?:forwarded[^a-z0-9](?:for|proto|host|port)|real[^a-z0-9]ip)$/;

/**
 * The request's lines under `forwardedHeaders: overwrite`: the client's own forwarding headers are dropped, except
 * those in `allowHeaders` that we do not write ourselves, and ours are appended.
 */
export function withForwarded({ lines, head, clientConnection }: Received, allowHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (const [name, value] of pairsOf(lines)) {
    const lower = lowerCaseName(name);
    if (SPELT.test(lower) && (OURS.test(lower) || !allowHeaders.includes(lower))) continue;
    kept.push(name, value);
  }
  const { address, encrypted, stream } = clientConnection;
  kept.push('X-Forwarded-For', address, 'X-Forwarded-Proto', encrypted ? 'https' : 'http');
  kept.push('X-Forwarded-Host', head.host, 'X-Forwarded-Port', `${stream.localPort ?? ''}`, 'X-Real-IP', address);
  return kept;
}
