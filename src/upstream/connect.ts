// Opens sockets to the upstream: TCP, a Unix socket or TLS.
import { Buffer } from 'node:buffer';
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { ALPN, type TlsContents } from '../wire/tls-contents.ts';
import type { Address } from './address.ts';

/** Milliseconds after which TCP probes a silent connection. */
export const PROBE_AFTER_MS = 60_000;
/** The error code of a connect that takes too long. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';
export const connectTimeout = () => Object.assign(new Error('connecting lasted too long'), { code: CONNECT_TIMEOUT });
/** Shared by all reads: Node would allocate 64 KiB for each and shrink it, which costs 1.1 µs for a short response. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

interface ConnectOptions {
  readonly tls: TlsContents | null;
  /** A TLS session to resume. */
  readonly session: Buffer | undefined;
  /** Replaces 'data' events; its bytes are in a buffer that the next read of any socket overwrites. */
  readonly onRead: ((bytes: Buffer) => void) | undefined;
}

/** Begins to connect. The socket may still fail. */
export function connectTo({ serverName, ...address }: Address, { tls, session, onRead }: ConnectOptions): Socket {
  const callback = (length: number) => {
    onRead?.(READ_BUFFER.subarray(0, length));
    return true;
  };
  const keeping = { keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS, noDelay: true, allowHalfOpen: true };
  const options = { ...address, ...keeping, ...(onRead && { onread: { buffer: READ_BUFFER, callback } }) };
  if (serverName === null) return connect(options);
  // Loaded only if it is needed: TLS costs 2 MB of idle memory.
  return process.getBuiltinModule('node:tls').connect({ ...options, ...tlsOptions(tls, serverName, session) });
}

/** `host`: of the upstream's URL. `session`: to resume. */
function tlsOptions(tls: TlsContents | null, host: string, session: Buffer | undefined): ConnectionOptions {
  // The URL's host or the configured name, never a name that a client chose.
  const name = tls?.servername ?? host;
  return {
    ...tls,
    // TLS has no server name for an address (RFC 6066 3): the certificate must then name the address itself.
    ...(isIP(name) === 0 && { servername: name }),
    ...(session !== undefined && { session }),
    ALPNProtocols: ALPN,
  };
}

/** True if a connect without TLS succeeds within `milliseconds`. */
export function acceptsConnection(to: NetConnectOpts, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...to, signal: AbortSignal.timeout(milliseconds) });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
  });
}
