// The client's address: for the log, and for the upstream if the operator asked for it. No decision may ever depend on
// X-Forwarded-For: the client writes it.
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { Exchange } from './exchange.ts';

/** The right-most address of X-Forwarded-For that is not a trusted proxy; the peer's own if the peer is not trusted. */
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

/** Returns a test: true for an address in one of the ranges (CIDRs or single addresses), false for any other text. */
export function inRanges(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false;
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** In each spelling that servers read alike. */
const OVERWRITTEN = /^x[-._]forwarded[-._](?:for|proto|host)$/i;

/** The lines for `forwardedHeaders: overwrite`: X-Forwarded-* says what we saw, whatever the client sent. */
export function withForwarded({ lines, head, connection }: Exchange): string[] {
  const kept: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    if (!OVERWRITTEN.test(name)) kept.push(name, lines[index + 1] ?? '');
  }
  const { address, encrypted } = connection;
  kept.push('X-Forwarded-For', address, 'X-Forwarded-Proto', encrypted ? 'https' : 'http');
  kept.push('X-Forwarded-Host', head.host);
  return kept;
}
