// The gate: what no request may be, whatever its route. One row a rule, with the attack that it stops; the first row that
// refuses answers 400. Pure: heads in, rule out. Rows are never reordered into an `else`: each must hold alone.
import type { Head } from './head.ts';
import { nominated } from './headers.ts';
import { pathOf } from './targets.ts';

export interface GateRule {
  readonly name: string;
  /** What a request that breaks it could do. */
  readonly stops: string;
  /** The header that breaks it, in lower case; null where the request line does. */
  readonly header: string | null;
  readonly refuses: (head: Head) => boolean;
}

const CONNECTION_MAY_NOT_NAME =
  /^(?:host|content-.*|authorization|cookie|entrupy[-_.]signature|x-forwarded-.*|forwarded|transfer-encoding)$/;

export const GATE = [
  {
    name: 'version',
    stops: 'HTTP/0.9 and `HTTP/2.0` as text, for which the parser asks for no Host and servers frame as they like',
    header: null,
    refuses: ({ version }) => version !== '1.1' && version !== '1.0',
  },
  {
    name: 'connect',
    stops: 'a tunnel through the proxy, in which nothing is verified',
    header: null,
    refuses: ({ method }) => method === 'CONNECT',
  },
  {
    name: 'origin-form',
    stops: 'absolute-form and `OPTIONS *`: servers take the authority or the path out of them in their own ways',
    header: null,
    refuses: ({ target }) => target.charCodeAt(0) !== 0x2f,
  },
  {
    name: 'one-host',
    stops: 'two Hosts, of which the upstream may choose the other one',
    header: 'host',
    refuses: ({ hosts }) => hosts !== 1,
  },
  {
    name: 'plain-host',
    stops: '`Host: a/b@c?d`, from which frameworks build URLs',
    header: 'host',
    refuses: ({ host }) => !/^[A-Za-z0-9._:[\]-]+$/.test(host),
  },
  {
    name: 'one-content-length',
    stops: 'two lengths: two servers, two ends of the body',
    header: 'content-length',
    refuses: ({ contentLengths }) => contentLengths > 1,
  },
  {
    name: 'plain-content-length',
    stops: '`010`, which some servers read as eight; lengths that no number holds exactly',
    header: 'content-length',
    refuses: ({ contentLengths, contentLength }) =>
      contentLengths === 1 && !/^(?:0|[1-9]\d{0,14})$/.test(contentLength),
  },
  {
    name: 'plain-transfer-encoding',
    stops: '`gzip, chunked`, `,chunked` or two lines: a server that does not know them reads another body',
    header: 'transfer-encoding',
    refuses: ({ transferEncodings, transferEncoding }) =>
      transferEncodings > 1 || (transferEncodings === 1 && transferEncoding.toLowerCase() !== 'chunked'),
  },
  {
    name: 'one-framing',
    stops: 'Content-Length beside Transfer-Encoding: the oldest smuggling of all (RFC 9112 6.3)',
    header: 'transfer-encoding',
    refuses: ({ transferEncodings, contentLengths }) => transferEncodings > 0 && contentLengths > 0,
  },
  {
    name: 'chunked-needs-1.1',
    stops: 'Transfer-Encoding on HTTP/1.0, which servers of that time ignore',
    header: 'transfer-encoding',
    refuses: ({ version, transferEncodings }) => version === '1.0' && transferEncodings > 0,
  },
  {
    name: 'connection-names',
    stops: 'a Connection that has us drop Host, framing, credentials or the signature before the upstream sees them',
    header: 'connection',
    refuses: ({ connection }) =>
      connection !== '' &&
      connection !== 'keep-alive' &&
      connection !== 'close' &&
      nominated(connection).some((name) => CONNECTION_MAY_NOT_NAME.test(name)),
  },
  {
    name: 'expectation',
    stops: 'an Expect that is not 100-continue, which nobody here can meet (RFC 9110 10.1.1)',
    header: 'expect',
    refuses: ({ expect }) => expect !== null && expect.toLowerCase() !== '100-continue',
  },
  {
    name: 'no-fragment',
    stops: '`/notify#x`: most servers cut it and serve `/notify`',
    header: null,
    refuses: ({ target }) => target.includes('#'),
  },
  {
    name: 'path-characters',
    stops: 'controls, spaces, raw non-ASCII, `\\` and others that servers turn into a slash, strip or cut at',
    header: null,
    refuses: ({ target }) => /[^\x21-\x7e]|["<>\\^`{|}]/.test(pathOf(target)),
  },
  {
    name: 'query-characters',
    stops: 'controls, spaces, DEL and raw non-ASCII in the query, which cut or split it further on',
    header: null,
    refuses: ({ target }) => /[^\x21-\x7e]/.test(target),
  },
  {
    name: 'percent-escapes',
    stops: '`%zz` and `%u006e`, which servers decode, drop or keep, each as it likes',
    header: null,
    refuses: ({ target }) => target.includes('%') && /%(?![0-9a-fA-F]{2})/.test(pathOf(target)),
  },
  {
    name: 'encoded-controls',
    stops: '`%00` and `%0a`, at which servers cut a path or end a match',
    header: null,
    refuses: ({ target }) => target.includes('%') && /%(?:[01][0-9a-f]|7f)/i.test(pathOf(target)),
  },
] as const satisfies readonly GateRule[];

export type GateRuleName = (typeof GATE)[number]['name'];

/** The first rule that refuses the head; null where none does. */
export function refusedByGate(head: Head): GateRule | null {
  for (const rule of GATE) if (rule.refuses(head)) return rule;
  return null;
}
