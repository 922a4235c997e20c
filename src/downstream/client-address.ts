// Who the client is, for the log alone, and what we tell the upstream of it where the operator asked for that.
// No decision is ever taken on these: the headers are the client's to write.
import { isIP } from 'node:net';
import type { Exchange } from './exchange.ts';

/** The right-most address of X-Forwarded-For that is not a trusted proxy's; the peer's own where that is not trusted. */
export function clientOf(peer: string, forwardedFor: string | null, trusts: (address: string) => boolean): string {
  if (forwardedFor === null || !trusts(peer)) return peer;
  let client = peer;
  for (const hop of forwardedFor.split(',').reverse()) {
    const address = hop.trim().replace(/^\[(.*)\](?::\d+)?$/, '$1');
    if (isIP(address) === 0) break;
    client = address;
    if (!trusts(address)) break;
  }
  return client;
}

const OVERWRITTEN = /^x-forwarded-(?:for|proto|host)$/i;

/** `forwardedHeaders: overwrite`: X-Forwarded-For, -Proto and -Host say what we saw, whatever the client sent. */
export function withForwarded(lines: readonly string[], exchange: Exchange): string[] {
  const kept: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    if (!OVERWRITTEN.test(name)) kept.push(name, lines[index + 1] ?? '');
  }
  const proto = exchange.connection.encrypted ? 'https' : 'http';
  kept.push('X-Forwarded-For', exchange.connection.address, 'X-Forwarded-Proto', proto);
  kept.push('X-Forwarded-Host', exchange.head.host);
  return kept;
}
