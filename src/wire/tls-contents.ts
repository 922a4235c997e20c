// TLS for the sockets of both sides.
import type { Buffer } from 'node:buffer';

/** The protocols that TLS negotiates (RFC 7301). */
export const ALPN = ['http/1.1'];

/** The contents of TLS files, already checked. When a file changes, all of them are replaced together. */
export interface TlsContents {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** For the upstream only: the name for SNI and for the certificate, if it is not the URL's host. */
  readonly servername?: string | undefined;
}
