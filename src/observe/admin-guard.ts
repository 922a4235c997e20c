// Keeps browsers from acting for somebody else on the admin port: it has no login, so a page elsewhere that makes a
// browser send `POST /-/reload` (CSRF), or a name that resolves to this address (DNS rebinding), must change nothing.

/** True where the request bears the marks of a browser that another site has sent. Tools bear none of them. */
export function isForeign(headers: ReadonlyMap<string, string>): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  for (const source of [headers.get('origin'), headers.get('referer')]) {
    if (source !== undefined && !isOwnAddress(source, headers.get('host'))) return true;
  }
  return false;
}

/** A rebound name is same-origin with itself: only an address, or localhost, cannot be anybody else's. */
function isOwnAddress(source: string, host: string | undefined): boolean {
  const url = URL.parse(source);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  return url.hostname === 'localhost' || url.hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname);
}
