// Hosts, networks and URLs in the configuration.
import { isIP } from 'node:net';
import { isDirectory } from '../base/default-places.ts';

export const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

/** True for an address or name to listen on, without brackets. */
export const isHost = (text: string): boolean => isIP(text) !== 0 || HOST_NAME.test(text);

/** True for a network such as `10.0.0.0/8` or `fd00::/8`. */
export function isCidr(text: string): boolean {
  const match = /^([^/]+)\/([0-9]{1,3})$/.exec(text);
  const version = isIP(match?.[1] ?? '');
  return version !== 0 && Number(match?.[2]) <= (version === 4 ? 32 : 128);
}

/** Characters that no address may hold. */
const BAD = /[\s\x00-\x1f\x7f\\?#]/;
/** The longest path of a Unix socket on Linux, in bytes: sockaddr_un has 108, one of them for the final NUL. */
const MAX_SOCKET_PATH = 107;

/** The normal form of `http://host:port`, `https://host:port` (without a default port) or `unix:///path`; else null. */
export function readUpstreamUrl(text: string): string | null {
  if (BAD.test(text)) return null;
  const [, path] = /^unix:\/\/(\/.*[^/])$/.exec(text) ?? [];
  if (path !== undefined) return Buffer.byteLength(path) <= MAX_SOCKET_PATH ? text : null;
  const [, host = '', port = '80'] = /^https?:\/\/(\[[^\]]*\]|[^:[\]/]*)(?::([0-9]{1,5}))?\/?$/.exec(text) ?? [];
  const isSound = host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : isHost(host);
  return isSound && Number(port) > 0 ? (URL.parse(text)?.origin ?? null) : null;
}

/** True for `redis://host:6379/0` (rediss://), at most with a user: the password comes from a file. */
export function isRedisUrl(text: string): boolean {
  const isPlain = /^rediss?:\/\/(?:[^:@/]*@)?[^@/]+(?:\/[0-9]{0,4})?$/.test(text) && !BAD.test(text);
  return isPlain && Boolean(URL.parse(text)?.hostname);
}

/** The longest path: Linux's PATH_MAX without the final NUL. */
const MAX_PATH = 4095;

/** True for an absolute path without `.`, `..` and a slash at its end, or for the URL of a Redis. */
export function isDeferredStore(text: string): boolean {
  if (!isDirectory(text)) return isRedisUrl(text);
  return !/[\x00-\x1f\x7f]|\/\.{0,2}(?=\/|$)/.test(text) && Buffer.byteLength(text) <= MAX_PATH;
}
