// Opens sockets to the upstream: plain, TLS or Unix, within `connectTimeout`, and never by a name that a client chose.
import { Buffer } from 'node:buffer';
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { codeOf, type TlsContents } from '../wire/sockets.ts';

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

/** Shared by all reads: Node would allocate 64 KiB for each and shrink it, 1.1 us of a request with a short response. */
const READ = Buffer.allocUnsafeSlow(64 * 1024);

/** Opens sockets with one set of TLS files. */
export class Connector {
  readonly #address: Address;
  readonly #tls: TlsContents | null;
  /** Milliseconds. */
  readonly #timeout: number;
  #session: Buffer | undefined;

  constructor(address: Address, tls: TlsContents | null, timeout: number) {
    this.#address = address;
    this.#tls = tls;
    this.#timeout = timeout;
  }

  /**
   * `done` is called once: with null when the socket is connected, TLS included, or with the reason why it is not.
   * `onRead` replaces 'data' events; its bytes are in a buffer that the next read of any socket overwrites.
   */
  open(done: (error: Error | null) => void, onRead?: (bytes: Buffer) => void): Socket {
    const callback = (length: number) => {
      onRead?.(READ.subarray(0, length));
      return true;
    };
    const socket = this.#connect(onRead === undefined ? {} : { onread: { buffer: READ, callback } });
    const connected = this.#address.serverName === null ? 'connect' : 'secureConnect';
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connecting took too long'), { code: CONNECT_TIMEOUT }));
    }, this.#timeout);
    socket.once('close', () => clearTimeout(timer));
    socket.once('error', done);
    socket.once(connected, () => {
      clearTimeout(timer);
      socket.off('error', done);
      done(null);
    });
    return socket;
  }

  #connect(reading: object): Socket {
    const keeping = { keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS };
    const { serverName, ...address } = this.#address;
    const options = { ...address, ...reading, ...keeping, noDelay: true, allowHalfOpen: true };
    if (serverName === null) return connect(options);
    const name = this.#tls?.servername ?? serverName;
    // Loaded only where it is needed: TLS costs 2 MB of idle memory.
    const socket = process.getBuiltinModule('node:tls').connect({
      ...this.#tls,
      ...options,
      // TLS has no server name for an address (RFC 6066 3): the certificate must then name the address itself.
      ...(isIP(name) === 0 && { servername: name }),
      ...(this.#session !== undefined && { session: this.#session }),
      ALPNProtocols: ['http/1.1'],
    });
    return socket.on('session', (session) => {
      this.#session = session;
    });
  }
}

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
