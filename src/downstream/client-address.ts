// The client's address: for the log, and for the upstream if the operator asked for it. No decision may ever depend on
// X-Forwarded-For: the client writes it.
import { BlockList, isIP, isIPv4 } from 'node:net';
import { linesOf } from '../core/headers.ts';
import type { Exchange } from './exchange.ts';

/** The right-most address of X-Forwarded-For that is not a trusted proxy; the peer's own if the peer is not trusted. */
export function clientAddressOf(
  peer: string,
  forwardedFor: string | null,
  trusts: (address: string) => boolean,
): string {
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

/** What a proxy writes about its client, in each spelling that servers read alike: CGI makes `_` of every other sign. */
const ABOUT_CLIENT = /^(?:forwarded|x[^a-z0-9]forwarded(?:[^a-z0-9].*)?|x[^a-z0-9]real[^a-z0-9]ip)$/;
/** Those that we write: `allowHeaders` must not let the client's own pass beside ours. */
const OURS = /^x[^a-z0-9](?:forwarded[^a-z0-9](?:for|proto|host|port)|real[^a-z0-9]ip)$/;

/** The lines for `forwardedHeaders: overwrite`: they say what we saw, whatever the client sent. */
export function withForwarded({ lines, head, clientConnection }: Exchange, allowHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (const [name, value] of linesOf(lines)) {
    const lower = name.toLowerCase();
    if (ABOUT_CLIENT.test(lower) && (OURS.test(lower) || !allowHeaders.includes(lower))) continue;
    kept.push(name, value);
  }
  const { address, encrypted, stream } = clientConnection;
  kept.push('X-Forwarded-For', address, 'X-Forwarded-Proto', encrypted ? 'https' : 'http');
  kept.push('X-Forwarded-Host', head.host, 'X-Forwarded-Port', `${stream.localPort ?? ''}`, 'X-Real-IP', address);
  return kept;
}
