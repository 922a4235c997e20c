// The contents of TLS files, and the protocol that TLS agrees on: the same for both sides.
import type { Buffer } from 'node:buffer';

/** The protocols that TLS offers or accepts (ALPN, RFC 7301). */
export const ALPN = ['http/1.1'];

/** The contents of TLS files, already checked. When one file changes, the contents of all are replaced together. */
export interface TlsContents {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** For the upstream only: the name to send as SNI and to find in its certificate, if it is not the URL's host. */
  readonly servername?: string | undefined;
}
