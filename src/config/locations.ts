// Hosts, networks and URLs as zod schemas, each with the phrase that names what is allowed.
// A phrase must never repeat what was found: a password may stand in a URL.
import { isIPv4 } from 'node:net';
import { isCidr, isHost, isHostName, type Reading, readStore, readUpstreamUrl, suggestCidr } from './addresses.ts';
import { quoted, spelled, text } from './leaves.ts';

export function host() {
  const allowed = 'an IP address without brackets, or a host name';
  const suggest = (input: unknown) => {
    const bare = /^\[(.*)\]$/.exec(String(input))?.[1];
    return bare !== undefined && isHost(bare) ? quoted(bare) : null;
  };
  return spelled(text(allowed), { allowed, parse: (input) => (isHost(input) ? input : null), suggest });
}

export function hostName() {
  const allowed = 'a host name, no IP address (TLS has no server name for one, RFC 6066 3)';
  return spelled(text(allowed), { allowed, parse: (input) => (isHostName(input) && !isIPv4(input) ? input : null) });
}

export function cidr() {
  const allowed = 'a network such as 10.0.0.0/8 or fd00::/8';
  const suggest = (input: unknown) => quoted(suggestCidr(input));
  return spelled(text(allowed), { allowed, parse: (input) => (isCidr(input) ? input : null), suggest });
}

function url(allowed: string, read: (input: string) => Reading) {
  return spelled(text(allowed), {
    allowed,
    parse: (input) => {
      const reading = read(input);
      return 'value' in reading ? reading.value : null;
    },
    problem: (input) => {
      const reading = read(input);
      return 'problem' in reading ? reading.problem : '';
    },
  });
}

export function upstreamUrl() {
  return url('http://host:port, https://host:port or unix:///path, without path, query or user', readUpstreamUrl);
}

export function storeUrl() {
  return url('memory, or redis://host:6379/0 (rediss:// for TLS) without a password', readStore);
}
