// The format of a row of the conformance tables, the configurations that rows run on, and the helpers that rows are
// written with. Rows are data: they must never derive an expectation from the proxy's code.
import { SECRET } from '../support/deliveries/signer.ts';
import { delivery, signatureLine as lineFor, post, request } from '../support/http/requests.ts';

export interface WireCase {
  readonly name: string;
  readonly on: Variant;
  /** The exact bytes of a new connection, as latin1 text. */
  readonly send: string;
  /** The status of each final response, in order. */
  readonly status: readonly number[];
  /** Each request that the lenient upstream parsed: `METHOD target body`. */
  readonly upstream: readonly string[];
  /** The header lines of the only request that it parsed. */
  readonly lines?: readonly string[];
  /** The 1xx statuses before the first final response; none unless given. */
  readonly informational?: readonly number[];
  /** True if the proxy must close after the last response: the bytes behind it could be anything. */
  readonly closes?: true;
  /** True if the first response answers a HEAD. */
  readonly head?: true;
}

const GONE = { path: '/gone', action: 'reject' };
const NOTIFY = { path: '/notify' };
const OPEN = [
  { path: '/open', action: 'forward' },
  { path: '/open/*', action: 'forward' },
];

/**
 * Each configuration, without its upstream. `/gone` is in all of them: a request to it shows that a connection still
 * works.
 */
export const VARIANTS = {
  /** The common setup: everything is verified except the listed routes. */
  strict: { routes: [NOTIFY, ...OPEN, GONE] },
  /** An open proxy with one verified route, where a bypass would cost most. */
  open: { routes: [NOTIFY, { path: '/admin/*' }, GONE], unmatched: 'forward' },
  closed: { routes: [NOTIFY, GONE], unmatched: 'reject' },
  report: { routes: [{ ...NOTIFY, mode: 'report' }, GONE] },
  allowing: {
    routes: [
      { ...NOTIFY, allowHeaders: ['x-original-url', 'x_trace'] },
      { path: '/open', action: 'forward', allowHeaders: ['x-forwarded-prefix', 'x_trace'] },
      GONE,
    ],
  },
  queryless: {
    routes: [
      { ...NOTIFY, query: 'refuse', methods: ['POST'] },
      { path: '/reported', mode: 'report', query: 'refuse' },
      { path: '/open', action: 'forward' },
      GONE,
    ],
  },
  unready: {
    secrets: [{ id: 'absent', env: 'NOT_SET' }],
    routes: [{ ...NOTIFY, maxBody: 16 }, { path: '/reported', mode: 'report' }, ...OPEN, GONE],
  },
  small: {
    routes: [{ ...NOTIFY, maxBody: 16 }, ...OPEN, GONE],
    limits: { maxHeader: '2KiB', headersTimeout: '1s', bodyTimeout: '1s' },
  },
} as const;
export type Variant = keyof typeof VARIANTS;

/** Reasons and their statuses, a second time and on purpose: dashboards depend on them. */
export const STATUSES: Readonly<Record<string, number>> = {
  bad_request: 400,
  header_too_large: 431,
  header_timeout: 408,
  route_rejected: 404,
  method_not_allowed: 405,
  no_live_secret: 503,
  missing_signature: 401,
  multiple_signatures: 401,
  malformed_signature: 401,
  unsupported_algorithm: 401,
  body_too_large: 413,
  overloaded: 503,
  body_timeout: 408,
  signature_mismatch: 401,
  expired_secret: 401,
  loop_detected: 508,
  client_closed: 499,
};

/** The whole body of each refusal, by status. */
export const REFUSALS: Readonly<Record<number, readonly string[]>> = {
  400: ['{"error":"bad_request"}'],
  401: ['{"error":"unauthorized"}'],
  404: ['{"error":"route_rejected"}'],
  405: ['{"error":"method_not_allowed"}'],
  408: ['{"error":"header_timeout"}', '{"error":"body_timeout"}'],
  413: ['{"error":"body_too_large"}'],
  431: ['{"error":"header_too_large"}'],
  503: ['{"error":"no_live_secret"}'],
};

/** `Entrupy-Signature` for a body given as latin1 text. */
export const signatureLine = (body: string, secret = SECRET) => lineFor(body, secret);

/** A POST without a signature, which must never reach the upstream. */
export const forged = post;

/** A delivery as Entrupy sends it, with extra `lines`. */
export const signed = (body: string, changes: Parameters<typeof post>[1] = {}) => delivery(body, SECRET, changes);

/** A signed delivery of `abc` with exactly this framing. */
export function signedAbc(framing: readonly string[], body: string): string {
  return request(['POST /notify HTTP/1.1', 'Host: a', signatureLine('abc'), ...framing], body);
}

/** Rows that are refused with this status: nothing upstream. */
export const refusal =
  (status: number) =>
  (name: string, send: string, on: Variant = 'strict'): WireCase =>
    row(name, send, { on, status: [status], upstream: [] });

/** Refused by the gate for their content, not their framing. */
export const gated = refusal(400);
export const unauthorized = refusal(401);
export const routeRejected = refusal(404);
export const methodRefused = refusal(405);
export const tooLarge = refusal(413);

export const closing = (row: WireCase): WireCase => ({ ...row, closes: true });

export const refused = (name: string, send: string, on?: Variant) => closing(gated(name, send, on));

/** A row that gets 200 from the upstream, which parsed this one request. */
export function served(name: string, send: string, upstream: string, outcome: Partial<WireCase> = {}): WireCase {
  return row(name, send, { status: [200], upstream: [upstream], ...outcome });
}

/** A row in which the delivery of `abc` arrives. */
export const delivered = (name: string, send: string, outcome: Partial<WireCase> = {}) =>
  served(name, send, 'POST /notify abc', outcome);

export function row(
  name: string,
  send: string,
  outcome: Omit<WireCase, 'name' | 'on' | 'send'> & { on?: Variant },
): WireCase {
  return { on: 'strict', ...outcome, name, send };
}
