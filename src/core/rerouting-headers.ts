// The headers that make a server take another target, method or prefix than the one that was verified. gate.ts
// refuses them, unless a route's `allowHeaders` names them.

/**
 * Headers with which frameworks replace the verified target, method or prefix. Envoy's `X-Envoy-Original-Path` and
 * Traefik's `X-Replaced-Path` are not included: they only report a rewrite, and honest ingresses add them.
 */
const REROUTING: ReadonlySet<string> = new Set([
  'x-original-url',
  'x-original-uri',
  'x-original-path',
  'x-original-method',
  'x-rewrite-url',
  'x-rewrite-uri',
  'x-rewrite-path',
  'x-invoke-path',
  'x-matched-path',
  'x-override-url',
  'x-forwarded-prefix',
  'x-forwarded-uri',
  'x-forwarded-path',
  'x-forwarded-method',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-script-name',
]);

/** CGI's names for the path, for their spellings with dots: any name with `_` is re-routing anyway. */
export const CGI_PATHS: ReadonlySet<string> = new Set(['script-name', 'path-info']);

/** True for a name with `_` (WSGI, CGI and PHP read it as `-`), and for a re-routing header, even spelt with dots. */
export function isRerouting(lowerCaseName: string): boolean {
  if (lowerCaseName.includes('_') || REROUTING.has(lowerCaseName)) return true;
  if (!lowerCaseName.includes('.')) return false;
  const dashed = lowerCaseName.replaceAll('.', '-');
  return REROUTING.has(dashed) || CGI_PATHS.has(dashed);
}
