// Every answer of our own, on both ports: status, body, Retry-After, and whether it ends the connection. The one table of
// them; downstream/reply.ts frames and sends them.

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

/** The answer to a request that is not forwarded, or to which the client gets no response of the upstream. */
export interface OwnAnswer {
  readonly status: OwnStatus;
  /** Constant JSON. */
  readonly body: string;
  /**
   * True if the answer closes the connection: the start of the next request is unknown, or a balancer's retry should
   * reach another pod.
   */
  readonly closes: boolean;
  /** Seconds after which the sender should try again; null if the answer has no `Retry-After`. */
  readonly retryAfter: number | null;
}

type Row = readonly [status: OwnStatus, manner: Pick<OwnAnswer, 'closes' | 'retryAfter'>];

const STAYS = { closes: false, retryAfter: null };
const CLOSES = { closes: true, retryAfter: null };
const TRY_ELSEWHERE = { closes: true, retryAfter: 1 };

const ROWS = {
  // The reasons of a refusal.
  bad_request: [400, CLOSES],
  header_too_large: [431, CLOSES],
  header_timeout: [408, CLOSES],
  route_rejected: [404, STAYS],
  method_not_allowed: [405, STAYS],
  no_live_secret: [503, TRY_ELSEWHERE],
  missing_signature: [401, STAYS],
  multiple_signatures: [401, STAYS],
  malformed_signature: [401, STAYS],
  unsupported_algorithm: [401, STAYS],
  body_too_large: [413, STAYS],
  overloaded: [503, TRY_ELSEWHERE],
  body_timeout: [408, CLOSES],
  signature_mismatch: [401, STAYS],
  expired_secret: [401, STAYS],
  // The upstream fails before its response begins.
  bad_gateway: [502, CLOSES],
  gateway_timeout: [504, CLOSES],
  /** An event that was delivered already. */
  duplicate: [200, STAYS],
  /** A delivery that the app did not take, once it is stored. */
  deferred: [202, STAYS],
} as const satisfies Record<string, Row>;

type AnswerName = keyof typeof ROWS;

export const ANSWERS = Object.fromEntries(
  Object.entries<Row>(ROWS).map(([name, [status, manner]]) => [
    name,
    { status, body: bodyOf(name, status), ...manner },
  ]),
) as { readonly [Name in AnswerName]: OwnAnswer & { readonly status: (typeof ROWS)[Name][0] } };

/** A 401 never reveals which check failed (Entrupy's example receiver does the same). */
function bodyOf(name: string, status: OwnStatus): string {
  if (status < 300) return `{"status":"${name}"}`;
  return `{"error":"${status === 401 ? 'unauthorized' : name}"}`;
}
