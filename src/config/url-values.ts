// Hosts, networks and URLs in the configuration: each reader returns the normal form or a problem.
// No problem repeats a URL, which may hold a password.
import { isIP } from 'node:net';

/** The normal form of a text, or the reason why it is refused. */
export type Reading =
  | { readonly value: string; readonly problem?: never }
  | { readonly value?: never; readonly problem: string };

export const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

/** True for an address or name to listen on, without brackets. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || HOST_NAME.test(text);
}

/** True for a network such as `10.0.0.0/8` or `fd00::/8`. */
export function isCidr(text: string): boolean {
  const match = /^([^/]+)\/([0-9]{1,3})$/.exec(text);
  const version = isIP(match?.[1] ?? '');
  return version !== 0 && Number(match?.[2]) <= (version === 4 ? 32 : 128);
}

/** The longest path of a Unix socket on Linux, in bytes: sockaddr_un has 108, one of them for the final NUL. */
const MAX_SOCKET_PATH = 107;

/** Takes `http://host:port`, `https://host:port` (a default port is left out) or `unix:///path`. */
export function readUpstreamUrl(text: string): Reading {
  const [, scheme = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === '') {
    const isBare = /^[A-Za-z0-9.-]+(?::[0-9]{1,5})?$/.test(text);
    return { problem: isBare ? `it has no scheme; did you mean "http://${text}"?` : 'it has no scheme' };
  }
  if (/[\s\x00-\x1f\x7f\\]/.test(text)) return { problem: 'it holds white space, a backslash or a control character' };
  if (scheme === 'unix') return readSocketUrl(rest);
  if (scheme !== 'http' && scheme !== 'https') return { problem: 'it has another scheme' };
  if (rest.includes('@')) return { problem: 'it names a user or password' };
  if (/[?#]/.test(rest)) return { problem: 'it has a query or fragment' };
  if (/\/./.test(rest)) return { problem: 'it has a path' };
  const authority = rest.replace(/\/$/, '');
  const [, host = '', port] = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{1,5}))?$/.exec(authority) ?? [];
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  const isSound = host.startsWith('[') ? isIP(bare) === 6 : isHost(bare);
  if (!isSound) return { problem: 'its host is not a name, an IPv4 address or an IPv6 address in []' };
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    return { problem: 'its port is not between 1 and 65535' };
  }
  const origin = URL.parse(`${scheme}://${authority}`)?.origin;
  return origin === undefined ? { problem: 'it is not a URL' } : { value: origin };
}

function readSocketUrl(path: string): Reading {
  if (!path.startsWith('/')) return { problem: 'a unix:// URL has three slashes and an absolute path' };
  if (/[?#]/.test(path)) return { problem: 'it has a query or fragment' };
  if (path.endsWith('/')) return { problem: 'it names a directory' };
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    return { problem: `the socket's path is over ${MAX_SOCKET_PATH} bytes` };
  return { value: `unix://${path}` };
}

/** Takes `memory`, or `redis://host:6379/0` (rediss://), at most with a user: the password comes from a file. */
export function readStore(text: string): Reading {
  return text === 'memory' ? { value: text } : readRedisUrl(text, 'once');
}

/** The longest path: Linux's PATH_MAX without the final NUL. */
const MAX_PATH = 4095;

/** Takes an absolute path without `.` and `..`, or the URL of a Redis as `readStore` does. */
export function readDeferredStore(text: string): Reading {
  if (!text.startsWith('/')) return readRedisUrl(text, 'redelivery');
  const isPlain = !/[\x00-\x1f\x7f]|\/\.{0,2}(?=\/|$)/.test(text) && Buffer.byteLength(text) <= MAX_PATH;
  return isPlain
    ? { value: text }
    : { problem: 'its path has an empty, "." or ".." part, a control character, or no end' };
}

function readRedisUrl(text: string, section: 'once' | 'redelivery'): Reading {
  if (!/^rediss?:\/\//.test(text)) return { problem: 'it is neither' };
  const url = /[\s\x00-\x1f\x7f\\]/.test(text) ? null : URL.parse(text);
  if (url === null || url.hostname === '') return { problem: 'it is not a URL with a host' };
  if (url.password !== '' || /:[^@/]*@/.test(text.slice(text.indexOf('//')))) {
    return { problem: `it holds a password: put it into ${section}.passwordFile` };
  }
  if (url.search !== '' || url.hash !== '') return { problem: 'it has a query or fragment' };
  if (!/^\/?$|^\/[0-9]{1,4}$/.test(url.pathname)) return { problem: 'its path is not a database number' };
  return { value: text };
}
