// Every answer of our own, on both ports: the one table. downstream/reply.ts frames and sends them; reasons.ts says when a
// request is refused.

/** The statuses of our own answers, and their phrases (RFC 9110 15). Node's own table would cost 35 ms and 15 MiB at start. */
export const PHRASES = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
} as const;
export type OwnStatus = keyof typeof PHRASES;

const STATUSES = {
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
  // The upstream fails before its response begins.
  bad_gateway: 502,
  gateway_timeout: 504,
  /** An event that was delivered already. */
  duplicate: 200,
  /** A delivery that the app did not take, once it is stored. */
  deferred: 202,
} as const satisfies Record<string, OwnStatus>;

/** The answer to a request that is not forwarded, or to which the client gets no response of the upstream. */
export interface OwnAnswer {
  readonly status: OwnStatus;
  /** Constant JSON. */
  readonly body: string;
  /** True if it ends the connection: the next request's start is unknown, or a retry should reach another pod. */
  readonly closes: boolean;
  /** Seconds after which the sender should try again; null if the answer has no `Retry-After`. */
  readonly retryAfter: number | null;
}

const CLOSING: ReadonlySet<number> = new Set([400, 408, 431, 502, 503, 504]);

function answerOf(name: string, status: OwnStatus): OwnAnswer {
  // A 401 never reveals which check failed (Entrupy's example receiver does the same).
  const error = status === 401 ? 'unauthorized' : name;
  const body = status < 300 ? `{"status":"${name}"}` : `{"error":"${error}"}`;
  return { status, body, closes: CLOSING.has(status), retryAfter: status === 503 ? 1 : null };
}

export const ANSWERS = Object.fromEntries(
  Object.entries(STATUSES).map(([name, status]) => [name, answerOf(name, status)]),
) as Readonly<Record<keyof typeof STATUSES, OwnAnswer>>;
