// Requests to an upstream that writes bytes behind its answers, sooner or later. Servers do that after HEAD, 204 and
// 304: the body that the answer must not have.
import fc from 'fast-check';
import { SECRET, signed } from '../conformance/wire-case.ts';
import { get, request } from '../support/http/requests.ts';

/** `reported`: without a signature, on a route that only reports. */
const KINDS = {
  'a delivery': { verdict: 'verified', path: '/notify', method: 'POST' },
  'a delivery where others are reported': { verdict: 'verified', path: '/reported', method: 'POST' },
  'a reported request': { verdict: 'none', path: '/reported', method: 'POST' },
  'an open GET': { verdict: 'none', path: '/open', method: 'GET' },
  'an open HEAD': { verdict: 'none', path: '/open', method: 'HEAD' },
  'an upload': { verdict: 'none', path: '/open', method: 'POST' },
} as const;

export const CONFIG = {
  routes: [{ path: '/notify' }, { path: '/reported', mode: 'report' }, { path: '/open', action: 'forward' }],
  unmatched: 'reject',
  log: { requests: 'none' },
} as const;
export const SECRETS = { current: SECRET };

const STATUSES = [200, 204, 304] as const;
/** Each is an answer to the next request, the beginning of one, or spoils it. */
const LATE_BYTES = [
  'HTTP/1.1 200 OK\r\nX-Id: forged\r\nContent-Length: 6\r\n\r\nforged',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </forged>\r\n\r\n',
  '{"status":"ok"}',
  'x'.repeat(70_000),
] as const;
/**
 * With the answer; in the next turn of the event loop; once the client has the answer; when another request arrives, on
 * whatever socket; before the next answer on the same socket.
 */
const TIMES = ['with it', 'a turn later', 'once it is read', 'at the next request', 'before the next answer'] as const;

export interface Asked {
  readonly kind: keyof typeof KINDS;
  readonly status: (typeof STATUSES)[number];
  /** Used only where the socket is not used again: anywhere else no proxy can tell late bytes from the next answer. */
  readonly late: Late | null;
}

export interface Late {
  readonly bytes: (typeof LATE_BYTES)[number];
  readonly when: (typeof TIMES)[number];
}

const asked: fc.Arbitrary<Asked> = fc.record({
  kind: fc.constantFrom(...(Object.keys(KINDS) as Asked['kind'][])),
  status: fc.constantFrom(...STATUSES),
  late: fc.option(fc.record({ bytes: fc.constantFrom(...LATE_BYTES), when: fc.constantFrom(...TIMES) })),
});

/** Clients at the same time, each with one request after the other. */
export const clients: fc.Arbitrary<Asked[][]> = fc.array(fc.array(asked, { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 5,
});

export interface Request {
  readonly name: string;
  readonly id: string;
  readonly bytes: string;
  readonly method: string;
  readonly verdict: 'verified' | 'none';
  readonly status: number;
  readonly body: string;
  /** As the upstream sends it. */
  readonly answer: string;
  readonly late: Late | null;
  /** Whether its socket may carry another request. */
  readonly socket: 'kept' | 'not used again';
}

let count = 0;

/** Writes a request with a new id, which its answer bears. */
export function written({ kind, status, late }: Asked): Request {
  const id = String(count++).padStart(8, '0');
  const { verdict, path, method } = KINDS[kind];
  const body = status === 200 && method !== 'HEAD' ? id : '';
  const isLast = verdict === 'none' && (body === '' || kind === 'an upload');
  const framing = status === 200 ? `Content-Length: ${id.length}\r\n` : '';
  const behind = isLast && late !== null ? `, ${late.bytes.length} bytes ${late.when}` : '';
  return {
    name: `${kind}, answered ${status}${behind}`,
    id,
    bytes: bytesOf(kind, `${path}?${id}`),
    method,
    verdict,
    status,
    body,
    answer: `HTTP/1.1 ${status} \r\nX-Id: ${id}\r\n${framing}\r\n${body}`,
    late: isLast ? late : null,
    socket: isLast ? 'not used again' : 'kept',
  };
}

function bytesOf(kind: Asked['kind'], target: string): string {
  if (KINDS[kind].verdict === 'verified') return signed('{"event":"late"}', { target });
  if (kind === 'an open GET') return get(target);
  if (kind === 'an open HEAD') return get(target).replace('GET', 'HEAD');
  const body = kind === 'an upload' ? 'abc' : '';
  return request([`POST ${target} HTTP/1.1`, 'Host: a', `Content-Length: ${body.length}`], body);
}
