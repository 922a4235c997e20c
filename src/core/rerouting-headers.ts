// Headers by which servers may read another target, method or prefix than the one that was verified.

/**
 * Headers with which frameworks replace the verified target, method or prefix. Envoy's `X-Envoy-Original-Path` and
 * Traefik's `X-Replaced-Path` are not included: they only report a rewrite, and honest ingresses add them.
 */
const REROUTING: ReadonlySet<string> = new Set([
  ...['x-original-url', 'x-original-uri', 'x-original-path', 'x-original-method', 'x-override-url'],
  ...['x-rewrite-url', 'x-rewrite-uri', 'x-rewrite-path', 'x-invoke-path', 'x-matched-path', 'x-script-name'],
  ...['x-forwarded-prefix', 'x-forwarded-uri', 'x-forwarded-path', 'x-forwarded-method'],
  ...['x-http-method', 'x-http-method-override', 'x-method-override'],
]);

/** CGI's variables for the path, spelt with dashes: look a name up with its dots (`script.name`) turned into dashes. */
export const CGI_PATHS: ReadonlySet<string> = new Set(['script-name', 'path-info']);

/** True for a name with `_` (WSGI, CGI and PHP read it as `-`), and for a re-routing header, even with dots for `-`. */
export function isRerouting(lowerCaseName: string): boolean {
  if (lowerCaseName.includes('_') || REROUTING.has(lowerCaseName)) return true;
  if (!lowerCaseName.includes('.')) return false;
  const dashed = lowerCaseName.replaceAll('.', '-');
  return REROUTING.has(dashed) || CGI_PATHS.has(dashed);
}
