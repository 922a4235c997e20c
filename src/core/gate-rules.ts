// The gate: rules for every request. Each row is one rule with the attack that it stops; a request that breaks one gets
// 400. No rule may rely on an earlier one having passed. A refusal names the first broken rule and the header that
// broke it, never a value. The client chooses the header's name, so the log and the status page shorten it.
import { MAX_LINES, nominated } from './header-lines.ts';
import { ABOUT_CLIENT, CGI_PATHS, HOP_BY_HOP } from './header-names.ts';
import type { Reason } from './reasons.ts';
import type { Head } from './request-head.ts';
import { type Route, UNMATCHED } from './routes.ts';
import { looksLikeSignature } from './signature.ts';

interface GateRule {
  readonly stops: string;
  /** The header that breaks the rule, in lower case; absent if the request line does. */
  readonly header?: string;
  readonly refuses: (head: Head) => boolean;
}

const CONNECTION_MAY_NOT_NAME = new RegExp(
  `^(?:host|content-.*|authorization|cookie|transfer-encoding|${ABOUT_CLIENT})$`,
);

export const GATE = {
  version: {
    stops: 'HTTP/0.9 and `HTTP/2.0` as text: the parser requires no Host for them, and servers differ in their framing',
    refuses: ({ version }) => version !== '1.1' && version !== '1.0',
  },
  connect: {
    stops: 'a tunnel through the proxy, which carries unverified requests',
    refuses: ({ method }) => method === 'CONNECT',
  },
  'origin-form': {
    stops: 'absolute-form and `OPTIONS *`: servers extract different hosts and paths from them',
    refuses: ({ target }) => target.charCodeAt(0) !== 0x2f,
  },
  'one-host': {
    stops: 'two Hosts: the upstream may use the other one',
    header: 'host',
    refuses: ({ hosts }) => hosts !== 1,
  },
  'plain-host': {
    stops: '`Host: a/b@c?d`: frameworks build URLs from it',
    header: 'host',
    refuses: ({ host }) => !/^[A-Za-z0-9._:[\]-]+$/.test(host),
  },
  'one-content-length': {
    stops: 'two lengths: two servers see two ends of the body',
    header: 'content-length',
    refuses: ({ contentLengths }) => contentLengths > 1,
  },
  'plain-content-length': {
    stops: '`010`, which some servers read as eight; lengths too large for an exact number',
    header: 'content-length',
    refuses: ({ contentLengths, contentLength }) =>
      contentLengths === 1 && !/^(?:0|[1-9]\d{0,14})$/.test(contentLength),
  },
  'plain-transfer-encoding': {
    stops: '`gzip, chunked`, `,chunked` or two lines: a server that does not support them reads another body',
    header: 'transfer-encoding',
    refuses: ({ transferEncodings, transferEncoding }) =>
      transferEncodings > 1 || (transferEncodings === 1 && transferEncoding.toLowerCase() !== 'chunked'),
  },
  'one-framing': {
    stops: 'Content-Length with Transfer-Encoding: classic request smuggling (RFC 9112 6.3)',
    header: 'transfer-encoding',
    refuses: ({ transferEncodings, contentLengths }) => transferEncodings > 0 && contentLengths > 0,
  },
  'chunked-needs-1.1': {
    stops: 'Transfer-Encoding in HTTP/1.0, which HTTP/1.0 servers ignore',
    header: 'transfer-encoding',
    refuses: ({ version, transferEncodings }) => version === '1.0' && transferEncodings > 0,
  },
  'connection-names': {
    stops:
      'a Connection header that makes the proxy drop Host, framing, credentials, the signature or the address of the client',
    header: 'connection',
    refuses: ({ connection }) =>
      connection !== '' &&
      nominated(connection).some((name) => CONNECTION_MAY_NOT_NAME.test(name) || looksLikeSignature(name)),
  },
  expectation: {
    stops: 'an Expect other than 100-continue, which the proxy cannot meet (RFC 9110 10.1.1)',
    header: 'expect',
    refuses: ({ expect }) => expect !== null && expect.toLowerCase() !== '100-continue',
  },
  'no-fragment': {
    stops: '`/notify#x`: most servers drop the fragment and serve `/notify`',
    refuses: ({ target }) => target.includes('#'),
  },
  'path-characters': {
    stops: 'control characters, spaces, raw non-ASCII, `\\` and others that servers turn into a slash, strip or cut at',
    refuses: ({ path }) => /[^\x21-\x7e]|["<>\\^`{|}]/.test(path),
  },
  'query-characters': {
    stops: 'control characters, spaces, DEL and raw non-ASCII in the query, at which servers cut or split it',
    refuses: ({ target }) => /[^\x21-\x7e]/.test(target),
  },
  'percent-escapes': {
    stops: '`%zz` and `%u006e`, which some servers decode, others drop or keep',
    refuses: ({ path }) => path.includes('%') && /%(?![0-9a-fA-F]{2})/.test(path),
  },
  'encoded-controls': {
    stops: '`%00` and `%0a`, at which servers cut a path or end a match',
    refuses: ({ path }) => path.includes('%') && /%(?:[01][0-9a-f]|7f)/i.test(path),
  },
} as const satisfies Record<string, GateRule>;

export type RuleName = keyof typeof GATE | 'path' | 'route-headers' | 'query' | 'parser' | 'head-size';

/** Every rule with the attack that it stops: the names that the log, the status page and `explain` can show. */
export const RULES = {
  ...Object.fromEntries(Object.entries(GATE).map(([name, { stops }]) => [name, stops])),
  path: 'accents and the like, more than 30 in a row, which take quadratic time to compare; and characters that Unicode folds to a `%`',
  'route-headers': 'a header that servers read as another header or another target, and that the route does not allow',
  query: 'a query, which the signature does not cover, on a route with `query: refuse`',
  parser: 'bytes that are not a whole HTTP/1.1 request, or a body in too many tiny chunks',
  'head-size': `a head larger than \`limits.maxHeader\`, or with more than ${MAX_LINES} lines`,
} as Readonly<Record<RuleName, string>>;

/** The rule to record when the parser refuses a head or body: the parser itself names none. */
export const PARSER_RULES: { readonly [R in Reason]?: RuleName } = {
  bad_request: 'parser',
  header_too_large: 'head-size',
};

export interface GateRefusal {
  readonly rule: RuleName;
  /** The header that broke the rule, in lower case; null if none did. */
  readonly header: string | null;
  /** The change that would allow the request, or why none can; null for the rules of `GATE`. */
  readonly hint: string | null;
}

const ROWS = Object.entries<GateRule>(GATE).map(([name, { header = null, refuses }]) => {
  return { rule: name as RuleName, header, refuses };
});

/** The first rule that the head breaks, or null. Checked before routing. */
export function refusedByGate(head: Head): GateRefusal | null {
  for (const { rule, header, refuses } of ROWS) if (refuses(head)) return { rule, header, hint: null };
  return null;
}

/** Refuses header names with `_` and re-routing headers, unless the route allows each of them by name. */
export function refusedForHeaders(head: Head, route: Route): GateRefusal | null {
  if (head.rerouting.length === 0) return null;
  const unlisted = head.rerouting.filter((name) => !route.allowHeaders.includes(name));
  const header = unlisted.find((name) => whyNeverAllowed(name) !== null) ?? unlisted[0];
  if (header === undefined) return null;
  const never = whyNeverAllowed(header);
  const why = `allowHeaders cannot allow ${header}: ${never}; remove it in the proxy in front`;
  return { rule: 'route-headers', header, hint: never === null ? allowHint([...new Set(unlisted)], route) : why };
}

function allowHint(names: readonly string[], { path }: Route): string {
  const where = path === UNMATCHED ? 'the path needs a route with' : `route ${path} needs`;
  const listed = names.join(', ').replace(/^(.{256}).+$/, '$1…');
  return `${where} allowHeaders: [${listed}], but only if the proxy in front sets it itself (docs/ingress.md)`;
}

/** Refuses a query, in report mode too. Called before the method is checked. An empty query (`/notify?`) counts. */
export function refusedForQuery(head: Head, route: Route): GateRefusal | null {
  if (route.action !== 'verify' || route.query !== 'refuse' || !head.target.includes('?')) return null;
  return { rule: 'query', header: null, hint: `route ${route.path} needs query: forward; the query stays unsigned` };
}

const READ_BY_GATE: ReadonlySet<string> = new Set(['host', 'content-length', 'content-type']);

/** Why `allowHeaders` may not name a header, in any spelling that servers read as that header; null if it may. */
export function whyNeverAllowed(name: string): string | null {
  const dashed = name.toLowerCase().replace(/[_.]/g, '-');
  if (CGI_PATHS.has(dashed)) return 'servers take their path from it';
  if (looksLikeSignature(dashed)) return 'servers read it as the signature';
  if (READ_BY_GATE.has(dashed)) return 'the gate itself depends on it';
  return HOP_BY_HOP.has(dashed) ? 'it is hop-by-hop' : null;
}
