// What TLS needs, as contents of files: read and checked elsewhere, replaced whole when the files change.
export interface TlsContents {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Towards the upstream: the name for SNI and for the certificate, where it is not the URL's host. */
  readonly servername?: string;
}
