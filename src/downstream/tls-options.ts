// The options of TLS towards clients.
import type { TlsOptions } from 'node:tls';
import { ALPN, type TlsContents } from '../wire/tls-contents.ts';

/** Client certificates are requested, and must be valid, if a CA for them is configured. */
export function tlsOptions(tls: TlsContents): TlsOptions {
  return { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true, ALPNProtocols: ALPN };
}
