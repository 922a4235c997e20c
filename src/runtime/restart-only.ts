// The changes of the configuration that only a restart applies.
import type { Config } from '../config/config.ts';

/**
 * Keys that a running process cannot change: its sockets, and what depends on them. The chart restarts its pods for
 * exactly these (helm/templates/_config.tpl; a test compares the lists).
 */
export const RESTART_ONLY: readonly (readonly [key: string, read: (config: Config) => unknown])[] = [
  ['listen.host', ({ listen }) => listen.host],
  ['listen.port', ({ listen }) => listen.port],
  ['listen.tls', ({ listen }) => listen.tls === null],
  ['admin.host', ({ admin }) => admin.host],
  ['admin.port', ({ admin }) => admin.port],
  ['upstream.url', ({ upstream }) => upstream.url],
  ['upstream.connections', ({ upstream }) => upstream.connections],
  ['upstream.connectTimeout', ({ upstream }) => upstream.connectTimeout],
  ['upstream.retryConnectFor', ({ upstream }) => upstream.retryConnectFor],
  ['upstream.keepAlive', ({ upstream }) => upstream.keepAlive],
  ['once', ({ once }) => JSON.stringify(once)],
  ['redelivery', ({ redelivery }) => JSON.stringify(redelivery)],
];
