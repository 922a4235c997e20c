// Requests whose body is a complete forged request to the verified path: with every method, with a length and in
// chunks, on every kind of unverified route, alone and with bytes behind it.
import { inChunks } from '../support/http/requests.ts';

export interface Form {
  readonly name: string;
  readonly method: string;
  /** The value of `X-Case`; the forged request has another one. */
  readonly id: string;
  readonly bytes: string;
}

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const FRAMINGS = ['length', 'chunks'] as const;
/** A forward route, a report route without a signature, and a target that only `unmatched: forward` lets through. */
export const TARGETS = ['/open', '/reported', '/elsewhere'] as const;
const TAILS = ['', 'GET / HTTP/1.1'] as const;

export const ROUTES = [
  { path: '/notify' },
  { path: '/reported', mode: 'report' },
  { path: '/open', action: 'forward' },
] as const;

/** A complete request to the verified path, as an attacker would write it. */
const forgedRequest = ({ method = 'POST', target = '/notify', by = 'any' } = {}) =>
  `${method} ${target} HTTP/1.1\r\nHost: a\r\nX-Case: forged.by.${by}\r\nContent-Length: 0\r\n\r\n`;

/** A request that the upstream answers slowly: its response would come while another request is in flight. */
export const SLOW_REQUEST = forgedRequest({ method: 'GET', target: '/slow' });

/** `body` as a request to `target`, with either framing. */
export function framed(form: { method: string; target: string; id: string; body: string; framing?: string }): string {
  const { method, target, id, body, framing } = form;
  const head = `${method} ${target} HTTP/1.1\r\nHost: a\r\nX-Case: ${id}\r\n`;
  if (framing !== 'chunks') return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  return `${head}Transfer-Encoding: chunked\r\n\r\n${inChunks(body)}`;
}

/** Every combination. */
export function forms(): Form[] {
  return METHODS.flatMap((method) =>
    FRAMINGS.flatMap((framing) =>
      TARGETS.flatMap((target) =>
        TAILS.map((tail) => {
          const name = `${method} ${target} in ${framing}${tail === '' ? '' : ', bytes behind it'}`;
          const id = name.replaceAll(' ', '.');
          const body = forgedRequest({ by: id }) + tail;
          return { name, method, id, bytes: framed({ method, target, id, body, framing }) };
        }),
      ),
    ),
  );
}
