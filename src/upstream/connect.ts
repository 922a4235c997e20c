// Where the upstream is, whether it accepts connections, and what a failed connect means.
import { connect, type NetConnectOpts } from 'node:net';
import { codeOf } from '../wire/sockets.ts';

/** `serverName`: the URL's host where the upstream speaks TLS; null where it is plain. */
export type Address =
  | { readonly path: string; readonly serverName: null }
  | { readonly host: string; readonly port: number; readonly serverName: string | null };

/** `http://…`, `https://…` or `unix:///path`. */
export function addressOf(url: string): Address {
  if (url.startsWith('unix://')) return { path: url.slice('unix://'.length), serverName: null };
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host, port: Number(port) || (secure ? 443 : 80), serverName: secure ? host : null };
}

/** Milliseconds after which TCP probes a silent peer. */
export const PROBE_AFTER_MS = 60_000;
/** The error code of a connect that takes too long. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';

/** True where a connect succeeds within `milliseconds`. */
export function takesConnection(to: NetConnectOpts, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...to, signal: AbortSignal.timeout(milliseconds) });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
  });
}

/** False for an untrusted certificate: a retry would not help. */
export function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_INVALID)/.test(codeOf(error));
}
