// The client's address: for the log, and to choose which connection to end when there are too many. No decision may
// ever depend on X-Forwarded-For, since the client can write it.
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { Policy } from '../core/admission.ts';
import { valuesOf } from '../core/header-lines.ts';

/** The connecting address; if that is trusted, X-Forwarded-For's right-most that is not, or else its left-most. */
export function clientAddressOf(connected: string, lines: readonly string[], trusts: Policy['trusts']): string {
  if (!trusts(connected)) return connected;
  let client = connected;
  for (const hop of valuesOf(lines, 'x-forwarded-for').join().split(',').reverse()) {
    const address = hop.trim().replace(/^\[(.*)\](?::\d+)?$/, '$1');
    if (isIP(address) === 0) break;
    client = address;
    if (!trusts(address)) break;
  }
  return client;
}

/** The network that counts as one client: an IPv4 address, or the /64 network of an IPv6 address. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = [], tail = []] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
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
