// Opens sockets to the upstream: TCP, Unix or TLS. Checks if it accepts connections, and its certificates' dates.
import { once } from 'node:events';
import { connect, isIP, type NetConnectOpts, type Socket, type SocketConstructorOpts } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { codeOf } from '../base/errors.ts';
import { ALPN, type TlsContents } from '../wire/tls-file-contents.ts';

/** Milliseconds of silence after which TCP asks whether the other side is still there. */
export const KEEP_ALIVE_AFTER_MS = 60_000;
/** The code of our own error for a connect that takes too long. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';
export const connectTimeout = () => Object.assign(new Error('connecting lasted too long'), { code: CONNECT_TIMEOUT });

/** False for TLS errors, such as an untrusted certificate: to connect once more would not help. */
export function isWorthRetrying(error: Error | null): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_INVALID)/.test(codeOf(error));
}

/** Options: a TLS session to resume, and a reader (`onread`) in place of 'data' events. */
type Wishes = Pick<ConnectionOptions, 'session' | 'rejectUnauthorized'> & Pick<SocketConstructorOpts, 'onread'>;

/** Begins to connect. The socket may still fail. */
export function connectTo({ serverName, ...address }: Address, tls: TlsContents | null, wishes: Wishes): Socket {
  const keeping = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS, noDelay: true, allowHalfOpen: true };
  const options = { ...address, ...keeping, ...wishes };
  if (serverName === null) return connect(options);
  // The configured name or the URL's host, never a name that a client chose. SNI can't name an IP address (RFC 6066 3):
  // the certificate must then name the address itself.
  const name = tls?.servername ?? serverName;
  const named = { ...tls, ...(isIP(name) === 0 && { servername: name }), ALPNProtocols: ALPN };
  // Loaded only when needed: the TLS module costs 2 MB of idle memory.
  return process.getBuiltinModule('node:tls').connect({ ...options, ...named });
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

/** True if a connect without TLS succeeds within `milliseconds`. */
export async function acceptsConnection(to: NetConnectOpts, milliseconds: number): Promise<boolean> {
  const socket = connect({ ...to, signal: AbortSignal.timeout(milliseconds) });
  const opened = await once(socket, 'connect').catch(() => null);
  socket.destroy();
  return opened !== null;
}

export interface CertificateDates {
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * The dates of the first certificate that has ended or not begun, of the chain that the server sends; null if none is
 * seen within `milliseconds`. `socket` checks no certificate, so it must send nothing, and is destroyed.
 */
export async function wrongDates(socket: Socket, milliseconds: number): Promise<CertificateDates | null> {
  const signal = AbortSignal.timeout(milliseconds);
  const isThere = await once(socket, 'secureConnect', { signal }).catch(() => null);
  const seen =
    isThere !== null && 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate(true) : null;
  socket.on('error', () => {}).destroy();
  const checked = new Set<object>();
  for (let next = seen; next && Object.hasOwn(next, 'valid_to') && !checked.has(next); next = next.issuerCertificate) {
    checked.add(next);
    const [notBefore, notAfter] = [Date.parse(next.valid_from), Date.parse(next.valid_to)];
    if (notBefore > Date.now() || notAfter < Date.now()) return { notBefore, notAfter };
  }
  return null;
}
