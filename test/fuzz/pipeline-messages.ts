// The messages of the pipelines, served and refused. What each gets is known, whatever stands in front of it and behind.
import { signatureLine, signed } from '../conformance/wire-case.ts';
import { SECRET } from '../support/deliveries/signer.ts';
import { inChunks, request } from '../support/http/requests.ts';

/** `limits.maxHeader` unless it is set: so many bytes behind a request are kept. */
export const MAX_HEADER = 16 * 1024;
/** A refused body with a length up to this is read to its end, and the connection stays. */
export const DROPPED_BODY = 64 * 1024;
const MAX_SMALL = 1024;

export const CONFIG = {
  routes: [
    { path: '/notify' },
    { path: '/small', maxBody: MAX_SMALL },
    { path: '/open/*', action: 'forward' },
    { path: '/open', action: 'forward' },
  ],
  unmatched: 'reject',
  limits: { maxBody: '128KiB' },
  log: { requests: 'none' },
} as const;

interface Kind {
  readonly start: string;
  readonly status: number;
  /** The lines that depend on the body. */
  readonly lines: (body: string) => readonly string[];
  /** `dropped`: it is refused without its body, so a long one ends the connection. */
  readonly body: 'read' | 'dropped' | 'none';
  /** The refusal ends the connection, whatever the body. */
  readonly closes?: true;
}

const none = () => [];
const good = (body: string) => [signatureLine(body, SECRET)];
export const KINDS = {
  'a delivery': { start: 'POST /notify', status: 200, lines: good, body: 'read' },
  'an upload': { start: 'POST /open/a', status: 200, lines: none, body: 'read' },
  'an open GET': { start: 'GET /open', status: 200, lines: none, body: 'none' },
  'an open HEAD': { start: 'HEAD /open', status: 200, lines: none, body: 'none' },
  'no signature': { start: 'POST /notify', status: 401, lines: none, body: 'dropped' },
  'a wrong signature': {
    start: 'POST /notify',
    status: 401,
    lines: (body) => [signatureLine(body, 'another-secret-0123456789abcdef')],
    body: 'read',
  },
  'no route': { start: 'POST /nothing', status: 404, lines: good, body: 'dropped' },
  'no such method': { start: 'PUT /notify', status: 405, lines: good, body: 'dropped' },
  'too large': { start: 'POST /small', status: 413, lines: good, body: 'dropped' },
  'a refused header': {
    start: 'POST /notify',
    status: 400,
    lines: (body) => [signatureLine(body, SECRET), 'X-Original-URL: /open'],
    body: 'dropped',
    closes: true,
  },
} as const satisfies Record<string, Kind>;

const GET_INNER = request(['GET /open/inner HTTP/1.1', 'Host: a']);
const DELIVERY_INNER = signed('{"inner":true}', { target: '/notify?inner' });
/** What bodies are filled with. A server that begins to read within one finds requests. */
export const FILLINGS = {
  letters: 'x',
  requests: GET_INNER,
  deliveries: DELIVERY_INNER,
  // Parsers skip empty lines before a request, so almost every byte here is the beginning of one.
  'empty lines and requests': `${'\r\n'.repeat(1_500)}${GET_INNER}`,
  chunks: '0\r\n\r\n',
} as const;

export interface Message {
  readonly kind: keyof typeof KINDS;
  readonly size: number;
  readonly filling: keyof typeof FILLINGS;
  /** Bytes of each chunk; 0: it has a length. */
  readonly chunk: number;
  /** True if the upstream's answer waits until the client has written its next piece. */
  readonly held: boolean;
}

/** A message on the wire, and what it must get. */
export interface Sent {
  readonly name: string;
  readonly id: string;
  readonly bytes: Buffer;
  /** How many of its bytes its answer needs: what is refused unread needs its head alone. */
  readonly needs: number;
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  readonly status: number;
  readonly held: boolean;
  /** Whether the connection may go on behind its answer. */
  readonly ends: 'never' | 'perhaps' | 'always';
}

let count = 0;

/** Writes a message with a new id, which the upstream echoes. All ids have one length. */
export function written({ kind, size, filling, chunk, held }: Message): Sent {
  const { start, status, lines, body, closes }: Kind = KINDS[kind];
  const id = String(count++).padStart(8, '0');
  const least = kind === 'too large' ? MAX_SMALL + 1 : 0;
  const length = body === 'none' ? 0 : Math.max(size, least);
  const text = FILLINGS[filling].repeat(Math.ceil(length / FILLINGS[filling].length)).slice(0, length);
  const chunked = chunk > 0 && body !== 'none';
  const framing = chunked ? ['Transfer-Encoding: chunked'] : [`Content-Length: ${length}`];
  const head = [`${start}?${id} HTTP/1.1`, 'Host: a', ...lines(text), ...(body === 'none' ? [] : framing)];
  const [method = '', path] = start.split(' ');
  const unread = body === 'dropped' && (chunked || length > DROPPED_BODY);
  // Chunks are too many only once they have come.
  const isEarly = body === 'dropped' && !(chunked && kind === 'too large');
  const bytes = Buffer.from(request(head, chunked ? inChunks(text, chunk) : text), 'latin1');
  return {
    name: `${kind} with ${length} bytes of ${filling}${chunked ? ` in chunks of ${chunk}` : ''}${held ? ', held' : ''}`,
    id,
    bytes,
    needs: isEarly ? request(head).length : bytes.length,
    method,
    target: `${path}?${id}`,
    body: Buffer.from(text, 'latin1'),
    status,
    held,
    ends: closes ? 'always' : unread ? 'perhaps' : 'never',
  };
}
