// Opens sockets to the upstream: TCP, a Unix socket or TLS.
import type { Buffer } from 'node:buffer';
import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { ALPN, type TlsContents } from '../wire/connections.ts';

/** Milliseconds after which TCP probes a silent connection. */
export const PROBE_AFTER_MS = 60_000;
/** The error code of a connect that takes too long. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';
export const connectTimeout = () => Object.assign(new Error('connecting lasted too long'), { code: CONNECT_TIMEOUT });

interface ConnectOptions {
  readonly tls: TlsContents | null;
  /** A TLS session to resume. */
  readonly session: Buffer | undefined;
  /** Replaces 'data' events. */
  readonly onread: OnReadOpts | undefined;
}

/** Begins to connect. The socket may still fail. */
export function connectTo({ serverName, ...address }: Address, { tls, session, onread }: ConnectOptions): Socket {
  const keeping = { keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS, noDelay: true, allowHalfOpen: true };
  const options = { ...address, ...keeping, ...(onread && { onread }) };
  if (serverName === null) return connect(options);
  // The URL's host or the configured name, never a name that a client chose. TLS has no name for an address (RFC 6066 3):
  // the certificate must then name the address itself.
  const name = tls?.servername ?? serverName;
  const named = { ...tls, ...(isIP(name) === 0 && { servername: name }), ALPNProtocols: ALPN };
  // Loaded only if it is needed: TLS costs 2 MB of idle memory.
  return process.getBuiltinModule('node:tls').connect({ ...options, ...named, ...(session && { session }) });
}

/** The address to connect to. `serverName`: the URL's host if the upstream speaks TLS; else null. */
export type Address =
  | { readonly path: string; readonly serverName: null }
  | { readonly host: string; readonly port: number; readonly serverName: string | null };

/** The address of `http://…`, `https://…` or `unix:///path`. */
export function addressOf(url: string): Address {
  if (url.startsWith('unix://')) return { path: url.slice('unix://'.length), serverName: null };
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host, port: Number(port) || (secure ? 443 : 80), serverName: secure ? host : null };
}
