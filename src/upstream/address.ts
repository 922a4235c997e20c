// Where the upstream is.

/** Where to connect. `serverName`: the URL's host if the upstream speaks TLS; else null. */
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
