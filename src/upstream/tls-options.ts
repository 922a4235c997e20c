// The options of TLS towards the upstream.
import type { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { ALPN, type TlsContents } from '../wire/tls-contents.ts';

/** `host`: of the upstream's URL. `session`: to resume. */
export function tlsOptions(tls: TlsContents | null, host: string, session: Buffer | undefined): ConnectionOptions {
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
